"""What distinguishes a present statement or document from the wanted one, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from latchkey.policies.canonical import canonical_statement, conditions_of, principal_set
from latchkey.policies.denials import is_like
from latchkey.policies.document import Document, Statement, label, listed, statements_of

_LONGEST = 200
_MOST = 5


def differences(present: Statement, wanted: Statement) -> list[str]:
    """What a statement lacks or has otherwise than the wanted one. Further principals and list values do not count."""
    return [*_of_members(present, wanted), *_of_principals(present, wanted), *_of_conditions(present, wanted)]


def document_differences(present: Document | None, wanted: Document) -> list[str]:
    """What distinguishes a whole document from the wanted one, by statement."""
    if present is None:
        return ["there is no document"]
    held, needed = statements_of(present), statements_of(wanted)
    forms = [canonical_statement(statement) for statement in held]
    lacking = [statement for statement in needed if canonical_statement(statement) not in forms]
    known = [canonical_statement(statement) for statement in needed]
    others = [(label(one, at), one) for at, one in enumerate(held) if forms[at] not in known]
    named = {statement.get("Sid") for statement in lacking}
    altered = {name: one for name, one in others if name in named}
    found = []
    for statement in lacking:
        name = statement["Sid"]
        if name in altered:
            own = differences(altered[name], statement) or ["has further principals or values"]
            found.append(f"{name} {', '.join(own)}")
        else:
            found.append(f"{name} is missing")
    return found + [f"{name} is additional" for name, _ in others if name not in altered]


def _of_members(present: Statement, wanted: Statement) -> Iterator[str]:
    for member in sorted(({*present} | {*wanted}) - {"Sid", "Principal", "NotPrincipal", "Condition"}):
        if canonical_statement({member: present.get(member)}) != canonical_statement({member: wanted.get(member)}):
            yield f"{member} is {_text(present.get(member))} instead of {_text(wanted.get(member))}"


def _of_principals(present: Statement, wanted: Statement) -> Iterator[str]:
    if "NotPrincipal" in present:
        yield "has NotPrincipal instead of Principal"
        return
    lacking = principal_set(wanted.get("Principal", {})) - principal_set(present.get("Principal", {}))
    if lacking:
        yield f"lacks the principals {_several(name for _, name in lacking)}"


def _of_conditions(present: Statement, wanted: Statement) -> Iterator[str]:
    here, there = conditions_of(present), conditions_of(wanted)
    names = _names_of_conditions(present) | _names_of_conditions(wanted)
    for place in sorted({*here, *there}):
        if place not in here:
            yield f"lacks the condition {names[place]}"
        elif place not in there:
            yield f"has the condition {names[place]}"
        elif lacking := [value for value in there[place] if not _has_value(here[place], value, place[0])]:
            yield f"condition {names[place]} is {_several(here[place])} and lacks {_several(lacking)}"


def _names_of_conditions(statement: Statement) -> dict[tuple[str, str], str]:
    """Operator and key of each condition as the statement spells them, by their canonical form."""
    conditions = statement.get("Condition") or {}
    return {(operator.lower(), key.lower()): f"{operator} {key}" for operator, keys in conditions.items() for key in keys}


def _has_value(values: frozenset[str], wanted: str, operator: str) -> bool:
    """Whether a condition has a value, or for StringLike another pattern that covers it."""
    return wanted in values or (operator == "stringlike" and any(is_like(wanted, pattern) for pattern in values))


def _several(values: Any) -> str:
    texts = sorted(map(str, values))
    more = f" and {len(texts) - _MOST} more" if len(texts) > _MOST else ""
    return ", ".join(texts[:_MOST]) + more


def _text(value: Any) -> str:
    text = ", ".join(map(str, listed(value))) or "absent"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
