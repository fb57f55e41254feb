"""The plan of a request: its changes, its API calls, and the hash that binds a later request to it. Pure.

Each flow describes its own changes with these values. A plan never contains a secret value: it says only that a value is new.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from latchkey import policies
from latchkey.access.prices import monthly_cost
from latchkey.events.plans import (
    Action,
    Call,
    Change,
    ChangedStatement,
    MissingPermission,
    Plan,
    PolicyChange,
    SettingChange,
)
from latchkey.policies import Document, Statement

__all__ = [
    "Action",
    "Call",
    "Change",
    "ChangedStatement",
    "MissingPermission",
    "Plan",
    "PolicyChange",
    "SettingChange",
    "change_of_policy",
    "changes_of_settings",
    "count_calls",
    "differences",
    "digest",
    "plan_of",
]
_DIGEST_LENGTH = 16


def plan_of(
    request: object,
    reads: Mapping[str, object],
    changes: Iterable[Change],
    operations: Iterable[str],
    permissions: Iterable[MissingPermission] = (),
) -> Plan:
    """The plan of a request. `request` is its content without its ID and without the members `mode` and `planHash`.

    `reads` are the values that were read, by name. An operation that is called twice is twice in `operations`.
    """
    content, digests = digest(request), {name: digest(value) for name, value in sorted(reads.items())}
    ordered = tuple(sorted(changes, key=lambda change: (change.kind, change.name)))
    calls = count_calls(operations)
    bound = [content, digests, [one.model_dump(mode="json") for one in ordered], [one.model_dump(mode="json") for one in calls]]
    return Plan(
        content=content,
        reads=digests,
        changes=ordered,
        calls=calls,
        permissions=tuple(sorted(set(permissions), key=lambda one: (one.principal, one.action, one.resource))),
        monthlyCost=monthly_cost([change.kind for change in ordered if change.action == "create"]),
        planHash=hashlib.sha256(_text(bound).encode()).hexdigest(),
    )


def count_calls(operations: Iterable[str]) -> tuple[Call, ...]:
    """The calls by operation, sorted."""
    return tuple(Call(operation=operation, count=count) for operation, count in sorted(Counter(operations).items()))


def change_of_policy(name: str, before: Document | None, after: Document | None) -> PolicyChange | None:
    """The differences between two policy documents, or None if both mean the same. Statements are matched by Sid."""
    present, wanted = policies.statements_of(before or {}), policies.statements_of(after or {})
    gone, new = _beyond(present, wanted), _beyond(wanted, present)
    gone_sids, new_sids = _unique_sids(gone), _unique_sids(new)
    both = sorted(gone_sids.keys() & new_sids.keys())
    if not gone and not new:
        return None
    return PolicyChange(
        name=name,
        added=_in_order(one for one in new if one.get("Sid") not in both),
        removed=_in_order(one for one in gone if one.get("Sid") not in both),
        changed=tuple(ChangedStatement(before=gone_sids[sid], after=new_sids[sid]) for sid in both),
    )


def changes_of_settings(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> tuple[SettingChange, ...]:
    """The settings that differ, sorted by name."""
    old, new = before or {}, after or {}
    names = sorted(name for name in {*old, *new} if _text(old.get(name)) != _text(new.get(name)))
    return tuple(SettingChange(name=name, before=old.get(name), after=new.get(name)) for name in names)


def digest(value: object) -> str:
    """A short hash of a value. It ignores times, the order of lists, and how policies with the same meaning are written."""
    return hashlib.sha256(_text(value).encode()).hexdigest()[:_DIGEST_LENGTH]


def differences(planned: Plan, present: Plan) -> list[str]:
    """What has changed since a request was planned, as text. Each change is listed once."""
    return [*_different_reads(planned, present), *_different_changes(planned, present), *_different_calls(planned, present)]


def _different_reads(planned: Plan, present: Plan) -> Iterator[str]:
    for name in sorted({*planned.reads, *present.reads}):
        if planned.reads.get(name) != present.reads.get(name):
            yield f"{name} has changed"


def _different_changes(planned: Plan, present: Plan) -> Iterator[str]:
    before, after = ({(one.kind, one.name): one for one in plan.changes} for plan in (planned, present))
    for kind, name in sorted({*before, *after}):
        unchanged = Change(action="none", kind=kind, name=name)
        one, other = before.get((kind, name), unchanged), after.get((kind, name), unchanged)
        if one.action != other.action:
            yield f"the action for {kind} {name} is now {other.action}, not {one.action}"
        elif one != other:
            yield f"the planned changes to {kind} {name} are different"


def _different_calls(planned: Plan, present: Plan) -> Iterator[str]:
    before, after = ({call.operation: call.count for call in plan.calls} for plan in (planned, present))
    for operation in sorted({*before, *after}):
        if before.get(operation, 0) != after.get(operation, 0):
            yield f"{operation} would be called {after.get(operation, 0)} times, not {before.get(operation, 0)}"


def _beyond(statements: list[Statement], known: list[Statement]) -> list[Statement]:
    """The statements that are not among the known ones. A statement that occurs twice must be known twice."""
    left = Counter(map(_text, known))
    beyond = []
    for statement in statements:
        text = _text(statement)
        if left[text]:
            left[text] -= 1
        else:
            beyond.append(statement)
    return beyond


def _unique_sids(statements: list[Statement]) -> dict[str, Statement]:
    """The statements with a Sid that no other one of them has."""
    counts = Counter(one.get("Sid") for one in statements)
    return {one["Sid"]: one for one in statements if one.get("Sid") and counts[one["Sid"]] == 1}


def _in_order(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    return tuple(sorted(statements, key=_text))


def _text(value: object) -> str:
    """The canonical text of a value."""
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"))


def _canonical(value: Any) -> Any:
    """The value as JSON in which equal values are equal: no times, sorted lists, policies by their meaning."""
    match value:
        case BaseModel():
            form = _canonical(value.model_dump())
        case Mapping():
            form = _canonical_object(value)
        case str():
            form = _canonical(document) if (document := _document(value)) else value
        case Iterable():
            form = sorted(map(_canonical, value), key=lambda item: json.dumps(item, sort_keys=True))
        case datetime():
            form = None
        case _ if is_dataclass(value):
            form = {field.name: _canonical(getattr(value, field.name)) for field in fields(value)}
        case _:
            form = value
    return form


def _canonical_object(value: Mapping[str, Any]) -> Any:
    """A JSON object, a policy document or one of its statements."""
    if "Effect" in value:
        return _canonical(policies.canonical(policies.new_document([dict(value)])))
    if "Statement" in value:
        return _canonical(policies.canonical(dict(value)))
    return {str(name): _canonical(item) for name, item in value.items()}


def _document(text: str) -> Document | None:
    """The policy document in a text, as some services return it, or None if the text is not a policy document."""
    if not text.startswith("{"):
        return None
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) and "Statement" in document else None
