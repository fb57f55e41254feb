"""Reports a cleanup: records the observed status of the access, and publishes what changed."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from latchkey.access.record import AccessRecord
from latchkey.cleanup.clean_up_grants import CleanedUp, GrantSurvey, ended_by
from latchkey.cleanup.observe_access import Observation
from latchkey.cleanup.verdict import Reason
from latchkey.events.cleanup import CLEANED_UP, AccessRestored, AccessRevoked, GrantsCleanedUp, Notice, RemovedGrant, TrailEvent
from latchkey.events.outcomes import CaughtError, Failure
from latchkey.events.publishing import publish
from latchkey.registry import Registry
from latchkey.registry.accesses import StatusChange
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient


class CleanUpReport(WireModel):
    """What a cleanup execution knows at its end. A part is missing if the execution did not get that far."""

    access_id: str
    execution_arn: str
    hint: TrailEvent | None = None
    look: GrantSurvey | None = None
    cleaned: CleanedUp | None = None
    observed: Observation | None = None
    caught: CaughtError | None = None


class Published(WireModel):
    """The detail types that were published. `irrevocable` is the number of grants that could not be revoked."""

    published: tuple[str, ...]
    irrevocable: int
    restored: bool
    exposure_seconds: float | None


def report_clean_up(report: CleanUpReport, registry: Registry, events: EventBridgeClient, bus: str) -> Published:
    """Records the status of the access and publishes what changed. A retry publishes the same events again.

    A status change is published by the execution that recorded it or, if that one died, by a later report.
    """
    if report.caught and report.look:
        report = report.model_copy(update={"cleaned": ended_by(report.look, registry.revocations)})
    record = registry.accesses.get(report.access_id)
    irrevocable = registry.revocations.open(report.access_id) if report.caught else []
    for revocation in irrevocable:
        registry.revocations.mark_irrevocable(revocation)
    now = datetime.now(UTC)
    if record and report.observed:
        _record_state(report, report.observed, record, registry, now)
    arns = [arn for arn in (record.key_arn, record.secret_arn, record.resource_arn) if arn] if record else []
    published = []
    if cleaned := _cleaned(report, record, irrevocable=bool(irrevocable)):
        publish(events, bus, CLEANED_UP, _detail(cleaned), arns)
        published.append(CLEANED_UP)
    for change in registry.accesses.unpublished(report.access_id):
        if change.is_for(report.execution_arn, now):
            publish(events, bus, change.kind, change.detail, arns)
            registry.accesses.note_published(report.access_id, change)
            published.append(change.kind)
    return Published(
        published=tuple(published),
        irrevocable=len(irrevocable),
        restored=bool(report.cleaned and report.cleaned.restored),
        exposureSeconds=_exposure(report),
    )


def _record_state(
    report: CleanUpReport, observed: Observation, record: AccessRecord, registry: Registry, now: datetime
) -> None:
    """Records a changed status with the event that reports it, unless the record was written since it was observed."""
    lost = tuple(check.name for check in observed.lost)
    changed = (record.status, registry.accesses.failed_checks(record.access_id)) != (observed.status, lost)
    if not observed.status or not changed or observed.version != record.version:
        return
    notice = _changed(report, observed, record)
    change = notice and StatusChange(kind=notice[0], detail=_detail(notice[1]), executionArn=report.execution_arn, at=now)
    registry.accesses.record_status(record, observed.status, lost, change)


def _changed(report: CleanUpReport, observed: Observation, record: AccessRecord) -> tuple[str, Notice] | None:
    """The detail type and event that report the new status, or None if no event does."""
    if observed.status in ("revoked", "detached"):
        own = {"lost": observed.lost, "proposal": observed.proposal}
        return "Access Revoked", AccessRevoked.model_validate(_common(report, record, "Access Revoked") | own)
    if observed.status == "active":
        return "Access Restored", AccessRestored.model_validate(_common(report, record, "Access Restored"))
    if observed.status == "gone" and (retired := _retired(report, record)):
        what = {"removed": (retired,), "kept": (), "restored": False}
        return CLEANED_UP, GrantsCleanedUp.model_validate(_common(report, record, "retired") | what)
    return None


def _cleaned(report: CleanUpReport, record: AccessRecord | None, *, irrevocable: bool) -> GrantsCleanedUp | None:
    """The event that reports revocations, or None if there is nothing to report."""
    cleaned = report.cleaned or CleanedUp()
    if not (cleaned.removed or irrevocable or cleaned.restored):
        return None
    failure = Failure(name=report.caught.error, message=report.caught.message) if report.caught else None
    own = {"removed": cleaned.removed, "kept": cleaned.kept, "restored": cleaned.restored, "failure": failure}
    own |= {"exposureSeconds": _exposure(report)} | ({"status": "irrevocable"} if irrevocable else {})
    return GrantsCleanedUp.model_validate(_common(report, record, CLEANED_UP) | own)


def _common(report: CleanUpReport, record: AccessRecord | None, subject: str) -> dict[str, Any]:
    """The members of every event. `subject` distinguishes the events of one execution."""
    observed = report.observed
    text = json.dumps([report.execution_arn, subject])
    return {
        "outcomeId": hashlib.sha256(text.encode()).hexdigest()[:32],
        "accessId": report.access_id,
        "system": report.access_id.split("/")[0],
        "status": (observed.status if observed else None) or (record.status if record else "gone"),
        "hint": report.hint,
        "executionArn": report.execution_arn,
    }


def _retired(report: CleanUpReport, record: AccessRecord) -> RemovedGrant | None:
    """The grant that the service retired before the first survey, if it did."""
    survey = report.look
    if survey is None or survey.resource_exists or survey.unreadable or (report.cleaned and report.cleaned.removed):
        return None
    if any(grant.verdict != "foreign" for grant in survey.grants):
        return None
    return RemovedGrant(
        grantId=None,
        keyArn=record.key_arn,
        removedBy="service",
        reason=Reason.RESOURCE_GONE.text(),
        evidence=(survey.resource_evidence,),
        removedAt=survey.at,
    )


def _detail(notice: Notice) -> str:
    return notice.model_dump_json(by_alias=True, exclude_none=True)


def _exposure(report: CleanUpReport) -> float | None:
    """Seconds from the trail event, or the first survey, to the last revocation by Latchkey."""
    ended = [
        removed.removed_at for removed in (report.cleaned.removed if report.cleaned else ()) if removed.removed_by == "latchkey"
    ]
    since = report.hint.event_time if report.hint else (report.look.at if report.look else None)
    return max((max(ended) - since).total_seconds(), 0.0) if ended and since else None
