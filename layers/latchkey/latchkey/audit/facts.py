"""Which changes of the registry are facts about an access, and what an audit record says about each. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latchkey.registry.changes import ItemChange


class Action(StrEnum):
    """What happened. The names are public."""

    CHAIN_BEGUN = "chain-begun"
    REQUEST_ACCEPTED = "request-accepted"
    CHANGE_INTENDED = "change-intended"
    CHANGE_MADE = "change-made"
    EVIDENCE_READ = "evidence-read"
    CHANGE_ROLLED_BACK = "change-rolled-back"
    CHANGE_LEFT = "change-left"
    ACCESS_RECORDED = "access-recorded"
    ACCESS_CHANGED = "access-changed"
    STATUS_OBSERVED = "status-observed"
    REVOCATION_DECIDED = "revocation-decided"
    GRANT_REVOKED = "grant-revoked"
    REVOCATION_FAILED = "revocation-failed"
    GRANT_RESTORED = "grant-restored"
    REVOCATION_CLOSED = "revocation-closed"
    EVENT_RECORDED = "event-recorded"
    OUTCOME_RECORDED = "outcome-recorded"
    FINDING_CHANGED = "finding-changed"
    ITEM_REMOVED = "item-removed"


@dataclass(frozen=True)
class Fact:
    """One decision or change, without its position in the chain. `source` is the id of the change of the registry."""

    source: str
    access_id: str
    at: str
    action: Action
    subject: str
    request_id: str | None = None
    tenant: str | None = None
    execution_arn: str | None = None
    principal: Mapping[str, str] = field(default_factory=dict)
    trail_event_id: str | None = None
    evidence: Any = None
    before: Any = None
    after: Any = None

    @property
    def wire(self) -> dict[str, Any]:
        """The members of the record."""
        return {
            "accessId": self.access_id,
            "action": self.action.value,
            "after": self.after,
            "at": self.at,
            "before": self.before,
            "cloudTrailEventId": self.trail_event_id,
            "evidence": self.evidence,
            "executionArn": self.execution_arn,
            "principal": {**self.principal},
            "requestId": self.request_id,
            "source": self.source,
            "subject": self.subject,
            "tenant": self.tenant,
        }


# The id of a chain for requests about no access: no access ID contains a number sign.
_OF_REQUESTS = "#requests/"
_DEFAULT_TENANT = "default"
# Attributes whose text is JSON.
_JSON = frozenset(
    {"alteredFrom", "evidence", "failure", "formerSettings", "found", "handoff", "leaves", "notice", "offboarded", "outcome"}
    | {"phaseFacts", "result", "wanted"}
)
# The function whose code writes an entry of the journal, by the kind of its step.
FUNCTIONS: Mapping[str, str] = MappingProxyType(
    {
        "key": "create_key",
        "key-rotation": "create_key",
        "secret": "create_secret",
        "secret-version": "create_secret",
        "secret-restoration": "restore_access",
        "rotation": "check_rotation",
        "key-policy": "attach_policies",
        "secret-policy": "attach_policies",
        "secret-key": "attach_policies",
        "role": "attach_policies",
        "resource": "configure_access",
        "record": "record_access",
        "detachment": "detach_resource",
        "removal": "remove_policies",
        "secret-deletion": "delete_secret",
    }
)
_REMOVALS = frozenset(["detachment", "removal", "secret-deletion"])
# Attributes whose changes are facts. Locks, leases, counters and the state of the delivery of events are none.
_OF_ACCESS = (
    "status", "reached", "requestId", "keyArn", "secretArn", "resourceArn", "tenant", "system", "wanted", "handoff", "leaves",
    "formerSettings", "offboarded", "detached", "phase", "phaseRequest", "phaseFacts", "findings", "lost", "left", "recordedAt",
)  # fmt: skip
_OF_GRANT = (
    "reason", "revokedAt", "irrevocableAt", "failure", "restoringAt", "alteredFrom", "endedAt", "endedBy", "gone",
    "outcome", "taken",
)  # fmt: skip
_OF_JOURNAL = ("found", "wanted", "result", "state", "undone", "left", "evidence")


def fact_of(change: ItemChange) -> Fact | None:
    """The fact in a change of an item, or None if it is about the work of the registry itself.

    Whatever an item contains, this raises nothing: an error would hold up the records of all other changes.
    """
    reader = _READERS.get(change.kind)
    if reader is None:
        return None
    if change.is_removal:
        # No function deletes such an item. The entries of a journal are deleted when their request ends.
        return None if change.kind == "journal" else _fact(change, Action.ITEM_REMOVED, before=_decoded(change.before))
    return reader(change)


def _journal(change: ItemChange) -> Fact | None:
    changed = _changed(change, _OF_JOURNAL)
    if not changed:
        return None
    now = {name: _json(name, change.after.get(name)) for name in _OF_JOURNAL}
    step = str(change.item_id).partition("/")[2]
    kind = step.partition(" ")[0].partition("-")[2]
    if kind == "request":
        return _accepted(change, now["wanted"]) if "wanted" in changed else None
    action, by = _of_entry(changed, now, kind, is_new=not change.before)
    own: dict[str, Any] = {"principal": {"function": by} if by else {}}
    if action is Action.CHANGE_INTENDED:
        own |= {"before": now["found"], "after": now["wanted"]}
    elif action is Action.EVIDENCE_READ:
        own |= {"evidence": now["evidence"]}
    else:
        own |= {"evidence": {name: now[name] for name in changed if now[name] is not None}}
    return _fact(change, action, subject=step, **own)


def _of_entry(changed: tuple[str, ...], now: Mapping[str, Any], kind: str, *, is_new: bool) -> tuple[Action, str | None]:
    """What a change of an entry is, and the function that made it."""
    by = FUNCTIONS.get(kind)
    if is_new or "wanted" in changed or "found" in changed:
        return Action.CHANGE_INTENDED, by
    if "result" in changed:
        return Action.CHANGE_MADE, by
    rollback = by if kind in _REMOVALS else "undo_onboarding"
    if "evidence" in changed:
        return Action.EVIDENCE_READ, rollback
    if "left" in changed and now["left"] is not None:
        return Action.CHANGE_LEFT, rollback
    return Action.CHANGE_ROLLED_BACK, rollback


def _accepted(change: ItemChange, wanted: Any) -> Fact:
    """The input of an execution, or the request that another access is to fulfill, in the journal of a request."""
    received = wanted if isinstance(wanted, Mapping) else {}
    sender = {name: str(received[name]) for name in ("senderAccount", "eventId", "kind") if received.get(name)}
    asked = {name: received[name] for name in ("request", "asked") if received.get(name)}
    return _fact(
        change, Action.REQUEST_ACCEPTED, subject="request", principal=sender, after=asked, request_id=_request_id(received)
    )


def _request(change: ItemChange) -> Fact | None:
    if "outcome" not in _changed(change, ("outcomeId", "outcome")):
        return None
    outcome = _mapping(_json("outcome", change.after.get("outcome")))
    own = {
        "access_id": outcome.get("accessId")
        or _OF_REQUESTS + str(change.after.get("tenant") or outcome.get("tenant", _DEFAULT_TENANT)),
        "execution_arn": outcome.get("executionArn") or change.after.get("executionArn"),
        "request_id": outcome.get("requestId"),
        "tenant": outcome.get("tenant"),
        "principal": {"function": "report_outcome"},
    }
    after = {"outcomeType": change.after.get("outcomeType")} | {
        name: outcome[name] for name in ("status", "changed") if name in outcome
    }
    return _fact(change, Action.OUTCOME_RECORDED, after=after, evidence=outcome, **own)


def _access(change: ItemChange) -> Fact | None:
    changed = _changed(change, _OF_ACCESS)
    if not changed:
        return None
    if "recordedAt" in changed:
        action, by = Action.ACCESS_RECORDED, "record_access"
    elif {"status", "findings", "lost"} & {*changed} and "offboarded" not in changed:
        action, by = Action.STATUS_OBSERVED, "report_clean_up"
    else:
        action, by = Action.ACCESS_CHANGED, None
    before, after = (
        {name: _json(name, item[name]) for name in changed if name in item} for item in (change.before, change.after)
    )
    request_id = next(
        (change.after[name] for name in ("runningRequest", "phaseRequest", "requestId") if name in change.after), None
    )
    return _fact(
        change,
        action,
        access_id=change.item_id,
        before=before or None,
        after=after or None,
        request_id=request_id,
        principal={"function": by} if by else {},
    )


def _grant(change: ItemChange) -> Fact | None:
    changed = {*_changed(change, _OF_GRANT)}
    if not changed:
        return None
    after = change.after
    if "endedAt" in changed and "endedAt" in after:
        action = Action.REVOCATION_CLOSED
    elif changed & {"irrevocableAt", "failure"} and {"irrevocableAt", "failure"} & {*after}:
        action = Action.REVOCATION_FAILED
    elif changed & {"restoringAt", "alteredFrom"} and "reason" not in changed:
        action = Action.GRANT_RESTORED
    elif "revokedAt" in changed and "revokedAt" in after:
        action = Action.GRANT_REVOKED
    elif "reason" in changed or "endedAt" in changed:
        action = Action.REVOCATION_DECIDED
    else:
        return None
    before, now = ({name: _json(name, item[name]) for name in _OF_GRANT if name in item} for item in (change.before, after))
    evidence = {name: after[name] for name in ("grantId", "keyArn", "secretArn") if name in after}
    return _fact(change, action, before=before or None, after=now, evidence=evidence, principal={"function": "clean_up_grants"})


def _notice(change: ItemChange) -> Fact | None:
    if change.before:
        return None
    event = _mapping(_json("outcome", change.after.get("outcome")))
    hint = _mapping(event.get("hint"))
    principal = {"function": "report_clean_up"} | (
        {"cloudTrailPrincipal": str(hint["principal"])} if hint.get("principal") else {}
    )
    own = {"tenant": event.get("tenant"), "execution_arn": event.get("executionArn"), "trail_event_id": hint.get("eventId")}
    after = {"outcomeType": change.after.get("outcomeType"), "status": event.get("status")}
    return _fact(change, Action.EVENT_RECORDED, after=after, evidence=event, principal=principal, **own)


def _finding(change: ItemChange) -> Fact | None:
    # Every reconciliation writes when it saw the access.
    before, after = (
        {name: value for name, value in _decoded(item).items() if name != "seenAt"} for item in (change.before, change.after)
    )
    return _fact(change, Action.FINDING_CHANGED, before=before or None, after=after) if before != after else None


_READERS: Mapping[str, Callable[[ItemChange], Fact | None]] = MappingProxyType(
    {"access": _access, "finding": _finding, "grant": _grant, "journal": _journal, "notice": _notice, "request": _request}
)
# The kinds of items whose changes can be facts.
KINDS = frozenset(_READERS)


def recorded_before(access: Mapping[str, Any], enabled: str) -> bool:
    """Whether an access was recorded before audit records existed: before the stream was `enabled`."""
    return "version" in access and str(access.get("recordedAt", ""))[:19] < enabled[:19]


def beginning(access_id: str, at: str, access: Mapping[str, Any], enabled: str) -> Fact:
    """The first fact of every chain: since when changes are recorded, and what the registry has about the access now."""
    known = {name: _json(name, access[name]) for name in _OF_ACCESS if name in access}
    evidence = {"recordsSince": enabled, "accessExistedBefore": recorded_before(access, enabled)}
    return Fact(Action.CHAIN_BEGUN.value, access_id, at, Action.CHAIN_BEGUN, "chain", evidence=evidence, after=known or None)


def _fact(change: ItemChange, action: Action, **members: Any) -> Fact:
    item = change.after or change.before
    owner = change.item_id if change.kind == "access" else item.get("accessId")
    common: dict[str, Any] = {
        "access_id": str(owner or _OF_REQUESTS + str(item.get("tenant", _DEFAULT_TENANT))),
        "subject": f"{change.kind} {change.item_id}",
        "execution_arn": item.get("executionArn"),
        "request_id": item.get("requestId"),
        "tenant": item.get("tenant"),
    }
    return Fact(source=change.event_id, at=change.at.isoformat(timespec="seconds"), action=action, **(common | members))


def _changed(change: ItemChange, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if change.before.get(name) != change.after.get(name))


def _decoded(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _json(name, value) for name, value in item.items()}


def _json(name: str, value: Any) -> Any:
    if name not in _JSON or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _request_id(received: Mapping[str, Any]) -> str | None:
    return received.get("requestId") or _mapping(received.get("request")).get("requestId")
