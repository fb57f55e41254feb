"""Our statements in a document: put beside foreign ones, taken out again, and compared with what is wanted."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from typing import Any

from latchkey.errors import Conflict
from latchkey.policies.document import Document, Statement, is_own, listed, new_document, principals_of, statements_of

_UNIQUE_ID = re.compile(r"A(ROA|IDA)[A-Z0-9]+")


def merge(document: Document | None, own: Iterable[Statement]) -> Document:
    """`document` with our statements in it: an own statement of the same Sid is widened in place, all else stays as it is.

    Statements are a list, since Sids may be missing or stand twice in a resource policy; one statement may stand alone
    without a list.
    """
    merged = copy.deepcopy(document) if document else new_document(())
    statements = statements_of(merged)
    for wanted in own:
        position = next((at for at, statement in enumerate(statements) if statement.get("Sid") == wanted["Sid"]), None)
        if position is not None and statements[position]["Effect"] != "Allow":
            raise Conflict(f"the policy denies something under the Sid {wanted['Sid']}, which is Latchkey's own")
        if position is None:
            statements.append(copy.deepcopy(wanted))
        elif not includes(statements[position], wanted):
            statements[position] = _widen(statements[position], wanted)
    if statements != statements_of(document or {}):
        merged["Statement"] = [living for statement in statements if (living := _living(statement))]
    return merged


def _widen(present: Statement, wanted: Statement) -> Statement:
    """`wanted` with the principals and secrets that the present statement names beside it."""
    widened = copy.deepcopy(wanted)
    # Who admits everyone names nobody beside them.
    for kind, names in principals_of(present).items() if isinstance(wanted["Principal"], dict) else ():
        own = wanted["Principal"].get(kind)
        widened["Principal"][kind] = _union(names, own) if own else names
    for operator, keys in wanted.get("Condition", {}).items():
        for key, values in keys.items():
            if isinstance(values, list):
                widened["Condition"][operator][key] = _union(present.get("Condition", {}).get(operator, {}).get(key), values)
    return widened


def _living(statement: Statement) -> Statement | None:
    """Our own statement without the principals that were deleted, or None if none is left; a foreign one as it is.

    A deleted principal stands there by its unique id, with which no policy can be written.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    if not is_own(statement) or not _deleted_principals(statement):
        return statement
    dead = _deleted_principals(statement)
    named = {kind: [name for name in listed(names) if name not in dead] for kind, names in principals_of(statement).items()}
    principals = {kind: names for kind, names in named.items() if names}
    return statement | {"Principal": principals} if principals else None


def deleted_principals(document: Document) -> list[str]:
    """The unique ids in foreign statements: only the owner can take them out, and until then the policy cannot be written."""
    foreign = [statement for statement in statements_of(document) if not is_own(statement)]
    return sorted({name for statement in foreign for name in _deleted_principals(statement)})


def _deleted_principals(statement: Statement) -> set[str]:
    return {name for names in principals_of(statement).values() for name in listed(names) if _UNIQUE_ID.fullmatch(name)}


def retain(document: Document | None, own: Iterable[Statement], *, kept: Sequence[str] = ()) -> Document:
    """`document` with no more of ours than these statements say, beside what lives of those whose Sids are `kept`.

    Adds nothing, since an owner may have taken it out; foreign statements stay as they are.
    """
    wanted = {statement["Sid"]: statement for statement in own}
    narrowed = (
        _living(statement)
        if not is_own(statement) or statement["Sid"] in kept
        else _narrowed(statement, wanted.get(statement["Sid"]))
        for statement in statements_of(document or {})
    )
    return {**(document or new_document(())), "Statement": [statement for statement in narrowed if statement]}


def _narrowed(present: Statement, wanted: Statement | None) -> Statement | None:
    """The present statement without the principals and listed values that nobody wants; None if nothing of it is left."""
    if wanted is None:
        return None
    names = principals_of(wanted)
    principals = {kind: _both(present_names, names.get(kind)) for kind, present_names in principals_of(present).items()}
    narrowed = copy.deepcopy(present) | {"Principal": {kind: left for kind, left in principals.items() if left}}
    for operator, keys in wanted.get("Condition", {}).items():
        for key, values in keys.items():
            held = narrowed.get("Condition", {}).get(operator, {})
            if isinstance(values, list) and key in held:
                held[key] = _both(held[key], values)
                if not held[key]:
                    return None
    return narrowed if narrowed["Principal"] else None


def beyond(document: Document | None, known: Iterable[Statement]) -> list[Statement]:
    """What our living statements in `document` name beyond these: it may be of an access that this registry does not know."""
    by_sid = {statement["Sid"]: statement for statement in known}
    living = (_living(statement) for statement in statements_of(document or {}) if is_own(statement))
    named = (_without(statement, by_sid.get(statement["Sid"])) for statement in living if statement)
    return [statement for statement in named if statement]


def _without(present: Statement, known: Statement | None) -> Statement | None:
    """The present statement without the principals and listed values that the other names; None if it names no others.

    One that both share stays beside what only the present one names: a role may read another's secret too.
    """
    if known is None:
        return present
    names, without, other_values = principals_of(known), copy.deepcopy(present), False
    rests = {kind: _rest(named, names.get(kind)) for kind, named in principals_of(present).items()}
    others = {kind: rest for kind, rest in rests.items() if rest}
    if others:
        without["Principal"] = others
    for operator, keys in known.get("Condition", {}).items():
        held = without.get("Condition", {}).get(operator, {})
        for key, values in keys.items():
            if isinstance(values, list) and (left := _rest(held.get(key, []), values)):
                held[key], other_values = left, True
    return without if others or other_values else None


def _rest(present: Any, known: Any) -> list[Any]:
    return [name for name in listed(present) if name not in listed(known)]


def _both(present: Any, wanted: Any) -> Any:
    """What two name; a single text that both name stays single."""
    both = [name for name in listed(present) if name in listed(wanted)]
    return present if both == listed(present) else both


def union(contributions: Iterable[Iterable[Statement]]) -> list[Statement]:
    """What several accesses want of one document, as one statement for each purpose."""
    document = new_document(())
    for statements in contributions:
        document = merge(document, statements)
    return statements_of(document)


def includes(present: Statement, wanted: Statement) -> bool:
    """Does a statement say all that the wanted one says, and nothing beyond more principals and more listed values?"""
    if {**present, "Principal": 0, "Condition": 0, "Action": 0, "Resource": 0} != {
        **wanted,
        "Principal": 0,
        "Condition": 0,
        "Action": 0,
        "Resource": 0,
    }:
        return False
    if any(set(listed(present.get(member))) != set(listed(wanted[member])) for member in ("Action", "Resource")):
        return False
    principals = principals_of(present)
    if any(not set(listed(names)) <= set(listed(principals.get(kind))) for kind, names in principals_of(wanted).items()):
        return False
    return _conditions_include(present.get("Condition", {}), wanted.get("Condition", {}))


def _conditions_include(present: dict[str, Any], wanted: dict[str, Any]) -> bool:
    if {operator: set(keys) for operator, keys in present.items()} != {op: set(keys) for op, keys in wanted.items()}:
        return False
    for operator, keys in wanted.items():
        for key, values in keys.items():
            here, there = set(listed(present[operator][key])), set(listed(values))
            # A condition with a list is ours to widen; a single value is a limit and must be exactly that.
            if not (there <= here if isinstance(values, list) else there == here):
                return False
    return True


def missing_from(document: Document | None, wanted: Iterable[Statement]) -> list[str]:
    """The Sids of the wanted statements that no statement of the document includes."""
    present = statements_of(document or {})
    return [statement["Sid"] for statement in wanted if not any(includes(candidate, statement) for candidate in present)]


def _union(present: Any, wanted: Any) -> Any:
    """Strings stay single if they agree, so that a document written twice is the same document."""
    both = sorted({*listed(present), *listed(wanted)})
    return wanted if isinstance(wanted, str) and both == [wanted] else both
