"""Merges our statements into a document, removes them, and compares them with the wanted ones.

The statements of others are never changed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from latchkey.errors import Conflict
from latchkey.policies.canonical import (
    Canonical,
    account_of,
    canonical_statement,
    conditions_of,
    principal_set,
    value_text,
    within,
    without,
)
from latchkey.policies.document import (
    Document,
    Statement,
    by_kind,
    is_own,
    label,
    listed,
    new_document,
    principals_of,
    statements_of,
)

_UNIQUE_ID = re.compile(r"A(ROA|IDA)[A-Z0-9]+")


def merge(document: Document | None, own: Iterable[Statement], superseded: Iterable[Statement] = ()) -> Document:
    """The document with our statements. A statement of ours with the same Sid is extended in place.

    The list values of `superseded` statements are dropped where a pattern of ours includes them. In a resource policy, a Sid
    can be missing or occur twice, so statements are compared as a list. Raises Conflict if a statement with one of our Sids
    denies something.
    """
    merged = copy.deepcopy(document) if document else new_document(())
    statements = statements_of(merged)
    former = {statement["Sid"]: statement for statement in superseded}
    for wanted in own:
        position = next((at for at, statement in enumerate(statements) if statement.get("Sid") == wanted["Sid"]), None)
        if position is not None and statements[position]["Effect"] != "Allow":
            raise Conflict(f"the policy has a Deny statement with the reserved Sid {wanted['Sid']}: rename or remove it")
        if position is None:
            statements.append(copy.deepcopy(wanted))
        elif not includes(statements[position], wanted):
            statements[position] = _widen(statements[position], wanted)
        if position is not None and wanted["Sid"] in former:
            statements[position] = _without_superseded(statements[position], former[wanted["Sid"]], wanted)
    if statements != statements_of(document or {}):
        merged["Statement"] = [kept for statement in statements if (kept := _without_deleted(statement))]
    return merged


def _widen(present: Statement, wanted: Statement) -> Statement:
    """The wanted statement, extended by the principals and list values of the present one."""
    widened = copy.deepcopy(wanted)
    # A statement for everyone lists no other principals.
    for kind, names in principals_of(present).items() if isinstance(wanted["Principal"], dict) else ():
        own = wanted["Principal"].get(kind)
        widened["Principal"][kind] = _union(names, own, account_of) if own else names
    for operator, keys in wanted.get("Condition", {}).items():
        for key, values in keys.items():
            if isinstance(values, list):
                widened["Condition"][operator][key] = _union(present.get("Condition", {}).get(operator, {}).get(key), values)
    return widened


def _without_superseded(present: Statement, former: Statement, wanted: Statement) -> Statement:
    """The present statement without the list values of the former one that a pattern of the wanted one includes."""
    narrowed = copy.deepcopy(present)
    for operator, keys in wanted.get("Condition", {}).items():
        for key, patterns in keys.items():
            held, replaced = narrowed["Condition"][operator][key], former.get("Condition", {}).get(operator, {}).get(key)
            if isinstance(patterns, list):
                superseded = [value for value in within(held, replaced) if _has_pattern(patterns, value, operator)]
                kept = without(held, without(superseded, patterns))
                narrowed["Condition"][operator][key] = held if kept == listed(held) else kept
    return narrowed


def _has_pattern(patterns: Iterable[str], value: str, operator: str) -> bool:
    """Whether one of the values of a condition includes this value, which can itself be a pattern."""
    return any(value == pattern or (operator == "StringLike" and _covers(pattern, value)) for pattern in patterns)


def _covers(pattern: str, value: str) -> bool:
    """Whether everything that matches `value` matches `pattern`, in which `*` stands for any text and `?` for one character."""
    expression = "".join({"*": ".*", "?": "[^*]"}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _without_deleted(statement: Statement) -> Statement | None:
    """The statement without deleted principals, or None if no principal is left. A statement of others is returned unchanged.

    In a policy, IAM replaces a deleted principal by its unique ID, and rejects updates that contain such an ID.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    if not is_own(statement) or not _deleted_principals(statement):
        return statement
    deleted = _deleted_principals(statement)
    named = {kind: [name for name in listed(names) if name not in deleted] for kind, names in principals_of(statement).items()}
    principals = {kind: names for kind, names in named.items() if names}
    return statement | {"Principal": principals} if principals else None


def deleted_principals(document: Document) -> dict[str, list[str]]:
    """The unique IDs of deleted principals, by the statement of others that names them: by Sid or position.

    Until the owner removes them, AWS rejects every update. Values of `aws:PrincipalArn` count as well, because a unique ID is
    not an ARN and never matches. `aws:userid` is compared with unique IDs, so its values do not count.
    """
    statements = enumerate(statements_of(document))
    named = {label(statement, at): _unique_ids(statement) for at, statement in statements if not is_own(statement)}
    return {name: ids for name, ids in named.items() if ids}


def _unique_ids(statement: Statement) -> list[str]:
    spared = by_kind(statement.get("NotPrincipal", {})).values()
    conditions = conditions_of(statement).items()
    values = {value for (_, key), held in conditions if key == "aws:principalarn" for value in held}
    named = _deleted_principals(statement) | {str(name) for names in spared for name in listed(names)} | values
    return sorted(name for name in named if _UNIQUE_ID.fullmatch(name))


def deleted_in_own(document: Document | None, sids: Iterable[str]) -> list[str]:
    """The unique IDs of deleted principals in our statements with these Sids."""
    named, statements = {*sids}, statements_of(document or {})
    own = (statement for statement in statements if is_own(statement) and statement["Sid"] in named)
    return sorted({name for statement in own for name in _deleted_principals(statement)})


def _deleted_principals(statement: Statement) -> set[str]:
    return {name for names in principals_of(statement).values() for name in listed(names) if _UNIQUE_ID.fullmatch(name)}


def retain(document: Document | None, own: Iterable[Statement], *, kept: Sequence[str] = ()) -> Document:
    """The document with our statements reduced to what `own` contains. Statements whose Sids are in `kept` stay.

    Nothing is added, because an owner can have removed it.
    """
    wanted = {statement["Sid"]: statement for statement in own}
    narrowed = (
        _without_deleted(statement)
        if not is_own(statement) or statement["Sid"] in kept
        else _narrowed(statement, wanted.get(statement["Sid"]))
        for statement in statements_of(document or {})
    )
    return {**(document or new_document(())), "Statement": [statement for statement in narrowed if statement]}


def _narrowed(present: Statement, wanted: Statement | None) -> Statement | None:
    """The present statement with only the wanted principals and list values, or None if nothing is left."""
    if wanted is None:
        return None
    names = principals_of(wanted)
    principals = {kind: _both(held, names.get(kind), account_of) for kind, held in principals_of(present).items()}
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
    """The parts of our statements that `known` does not explain: they can belong to an access of another registry."""
    by_sid = {statement["Sid"]: statement for statement in known}
    present = (_without_deleted(statement) for statement in statements_of(document or {}) if is_own(statement))
    named = (_without(statement, by_sid.get(statement["Sid"])) for statement in present if statement)
    return [statement for statement in named if statement]


def _without(present: Statement, known: Statement | None) -> Statement | None:
    """The part of the present statement that the known one does not contain, or None if there is none.

    If only some list values differ, all principals stay, because a known role can also read the other secret.
    """
    if known is None:
        return present
    names, unknown, other_values = principals_of(known), copy.deepcopy(present), False
    rests = {kind: without(named, names.get(kind), account_of) for kind, named in principals_of(present).items()}
    others = {kind: rest for kind, rest in rests.items() if rest}
    if others:
        unknown["Principal"] = others
    for operator, keys in known.get("Condition", {}).items():
        held = unknown.get("Condition", {}).get(operator, {})
        for key, values in keys.items():
            if isinstance(values, list) and (left := without(held.get(key, []), values)):
                held[key], other_values = left, True
    return unknown if others or other_values else None


def _both(present: Any, wanted: Any, form: Callable[[Any], str] = value_text) -> Any:
    """The values that both contain, in the form of the present ones if they are equal."""
    both = within(present, wanted, form)
    return present if both == listed(present) else both


def union(contributions: Iterable[Iterable[Statement]]) -> list[Statement]:
    """The statements of several accesses, merged into one statement for each Sid."""
    document = new_document(())
    for statements in contributions:
        document = merge(document, statements)
    return statements_of(document)


def includes(present: Statement, wanted: Statement, *, by_pattern: bool = False) -> bool:
    """Whether a statement equals the wanted one, except for additional principals and list values.

    With `by_pattern`, a value is also included in a pattern that matches it.
    """
    if _rest_of(present) != _rest_of(wanted) or not _principals(wanted) <= _principals(present):
        return False
    present_values, wanted_values = conditions_of(present), conditions_of(wanted)
    if present_values.keys() != wanted_values.keys():
        return False
    for operator, keys in wanted.get("Condition", {}).items():
        for key, values in keys.items():
            place = operator.lower(), key.lower()
            here, there = present_values[place], wanted_values[place]
            # Latchkey extends lists. A single value is a limit, so it must be equal.
            included = there <= here or (by_pattern and all(_has_pattern(here, value, operator) for value in there))
            if not (included if isinstance(values, list) else there == here):
                return False
    return True


def _rest_of(statement: Statement) -> Canonical:
    return canonical_statement({name: value for name, value in statement.items() if name not in ("Principal", "Condition")})


def _principals(statement: Statement) -> frozenset[tuple[str, str]]:
    return principal_set(statement.get("Principal", {}))


def missing_from(document: Document | None, wanted: Iterable[Statement]) -> list[str]:
    """The Sids of the wanted statements that no statement of the document includes."""
    present = statements_of(document or {})
    return [
        statement["Sid"]
        for statement in wanted
        if not any(includes(candidate, statement, by_pattern=True) for candidate in present)
    ]


def _union(present: Any, wanted: Any, form: Callable[[Any], str] = value_text) -> Any:
    """The values of both. A single text stays a text, so that merging twice changes nothing."""
    both = sorted({*without(present, wanted, form), *listed(wanted)}, key=str)
    return wanted if isinstance(wanted, str) and both == [wanted] else both
