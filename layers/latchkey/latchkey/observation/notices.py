"""Records what an observation found, and publishes the recorded events: each at least once, and always the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from latchkey.access.findings import identity_of
from latchkey.access.record import AccessRecord, has_grants
from latchkey.events.cleanup import (
    AccessGone,
    AccessRestored,
    AccessRevoked,
    DriftDetected,
    DriftResolved,
    Notice,
    TrailEvent,
)
from latchkey.observation.observe_access import Observation
from latchkey.registry import Registry
from latchkey.registry.accesses import StatusChange
from latchkey.registry.notices import RecordedNotice

# Publishes an event: its detail type, its detail, and the ARNs of the resources that it is about.
type PublishEvent = Callable[[str, str, list[str]], None]


@dataclass(frozen=True)
class Occasion:
    """What an execution reports about one access: when, and the trail event that started it.

    `source` is part of the id of its events, so that the same occasion always reports with the same id.
    """

    access_id: str
    execution_arn: str
    now: datetime
    source: str
    hint: TrailEvent | None = None

    def change(self, kind: str, notice: Notice) -> StatusChange:
        """An event to be recorded before it is published."""
        return StatusChange(kind=kind, detail=_detail(notice), executionArn=self.execution_arn, at=self.now)


def common_members(
    occasion: Occasion, status: str | None, record: AccessRecord | None, subject: str, source: str = ""
) -> dict[str, Any]:
    """The members of every event. `subject` distinguishes the events of one occasion, and `source` replaces its own."""
    return {
        "outcomeId": notice_id([source or occasion.source, subject]),
        "tenant": record.tenant if record else None,
        "accessId": occasion.access_id,
        "system": occasion.access_id.split("/")[0],
        "status": status or (record.status if record else "gone"),
        "hint": occasion.hint,
        "executionArn": occasion.execution_arn,
        "recordedAt": datetime.now(UTC),
    }


def notice_id(parts: list[str]) -> str:
    """The `outcomeId` of an event."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def record_observation(
    occasion: Occasion,
    observed: Observation,
    record: AccessRecord,
    registry: Registry,
    ended: Callable[[], tuple[str, Notice] | None] = lambda: None,
) -> None:
    """Records a changed status or other findings with the events that report them, in one write.

    Nothing is written if the record was written since it was observed. `ended` returns the event about an access whose
    resource is gone, and whose service creates grants.
    """
    lost = tuple(check.name for check in observed.lost)
    is_other_state = (record.status, registry.accesses.failed_checks(record.access_id)) != (observed.status, lost)
    are_others = _are_others(observed, record, registry)
    if not observed.status or observed.version != record.version or not (is_other_state or are_others):
        return
    notices = [
        _changed(occasion, observed, record, ended) if is_other_state else None,
        _drifted(occasion, observed, record) if are_others else None,
    ]
    changes = [occasion.change(kind, notice) for kind, notice in filter(None, notices)]
    registry.accesses.record_status(record, observed.status, lost, observed.findings, changes)


def _are_others(observed: Observation, record: AccessRecord, registry: Registry) -> bool:
    """Whether there are other findings than those reported last, or the same ones with other evidence."""
    if tuple(one.name for one in observed.findings) != registry.accesses.findings(record.access_id):
        return True
    known = registry.accesses.findings_identity(record.access_id) if observed.findings else None
    return known is not None and known != identity_of(observed.findings)


def record_notice(occasion: Occasion, kind: str, notice: Notice, registry: Registry) -> None:
    """Records an event that is not part of a changed status. If one with the same id is recorded, it stays unchanged."""
    registry.notices.record(RecordedNotice(occasion.access_id, notice.outcome_id, occasion.change(kind, notice)))


def publish_notices(
    occasion: Occasion, record: AccessRecord | None, registry: Registry, publish_event: PublishEvent
) -> Iterator[str]:
    """Publishes the recorded events of this execution and of crashed ones. Returns their detail types."""
    arns = [arn for arn in (record.key_arn, record.secret_arn, record.resource_arn) if arn] if record else []
    access_id = occasion.access_id
    for notice in registry.notices.unpublished(access_id):
        if notice.change.is_for(occasion.execution_arn, occasion.now):
            publish_event(notice.change.kind, notice.change.detail, arns)
            registry.notices.keep_published(notice)
            yield notice.change.kind
    for change in registry.accesses.unpublished(access_id):
        if change.is_for(occasion.execution_arn, occasion.now):
            publish_event(change.kind, change.detail, arns)
            # Version 0.1.0 recorded events without an outcomeId.
            outcome_id = json.loads(change.detail).get("outcomeId") or notice_id([change.detail])
            registry.notices.keep_published(RecordedNotice(access_id, outcome_id, change))
            registry.accesses.note_published(access_id, change)
            yield change.kind


def _drifted(occasion: Occasion, observed: Observation, record: AccessRecord) -> tuple[str, Notice] | None:
    """The detail type and event that report other findings. Nothing drifts in an access whose resource is gone or detached."""
    if observed.status in ("gone", "detached"):
        return None
    if not observed.findings:
        kind = "Drift Resolved"
        return kind, DriftResolved.model_validate(common_members(occasion, observed.status, record, kind))
    kind, own = "Drift Detected", {"findings": observed.findings, "remedy": observed.remedy}
    return kind, DriftDetected.model_validate(common_members(occasion, observed.status, record, kind) | own)


def _changed(
    occasion: Occasion,
    observed: Observation,
    record: AccessRecord,
    ended: Callable[[], tuple[str, Notice] | None],
) -> tuple[str, Notice] | None:
    """The detail type and event that report the new status, or None if no event does."""
    if observed.status in ("revoked", "detached"):
        kind, why = "Access Revoked", {"lost": observed.lost, "causes": observed.causes}
        own = why | {"proposal": observed.proposal, "remedy": observed.remedy}
        return kind, AccessRevoked.model_validate(common_members(occasion, observed.status, record, kind) | own)
    if observed.status == "active":
        kind = "Access Restored"
        return kind, AccessRestored.model_validate(common_members(occasion, observed.status, record, kind))
    if observed.status == "gone" and not has_grants(record.access_id):
        kind, own = "Access Gone", {"lost": observed.lost}
        return kind, AccessGone.model_validate(common_members(occasion, observed.status, record, kind) | own)
    return ended() if observed.status == "gone" else None


def _detail(notice: Notice) -> str:
    return notice.model_dump_json(by_alias=True, exclude_none=True)
