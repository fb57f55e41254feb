"""Reports a cleanup: records the observed status of the access, and publishes what changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from latchkey.access.record import AccessRecord
from latchkey.access.remedy import revocation as revocation_command
from latchkey.cleanup.clean_up_grants import CleanedUp, GrantSurvey, ended_by, ended_in
from latchkey.cleanup.exposure import Exposure, exposure_of
from latchkey.cleanup.observe_access import Observation
from latchkey.cleanup.verdict import Reason
from latchkey.events.cleanup import (
    CLEANED_UP,
    KEY_DELETION_SCHEDULED,
    NOT_REVOKED,
    AccessRestored,
    AccessRevoked,
    DeletedKey,
    DriftDetected,
    DriftResolved,
    GrantNotRevoked,
    GrantsCleanedUp,
    KeyDeletionScheduled,
    Notice,
    TrailEvent,
)
from latchkey.events.denial import denial_in
from latchkey.events.outcomes import CaughtError, RemovedGrant
from latchkey.events.publishing import publish
from latchkey.registry import Registry
from latchkey.registry.accesses import PUBLISHING_PERIOD, StatusChange
from latchkey.registry.notices import RecordedNotice
from latchkey.registry.revocations import Revocation
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient


class CleanUpReport(WireModel):
    """What a cleanup execution knows at its end. A part is missing if the execution did not get that far.

    `deletedKey` is all that the cleanup of an offboarded access knows whose key was due.
    """

    access_id: str
    execution_arn: str
    hint: TrailEvent | None = None
    look: GrantSurvey | None = None
    cleaned: CleanedUp | None = None
    observed: Observation | None = None
    caught: CaughtError | None = None
    deleted_key: DeletedKey | None = None


class Published(WireModel):
    """The detail types that were published. `irrevocable` is the number of grants that could not be revoked.

    `continues`: more grants are orphaned than one survey returns, and this round removed some.
    """

    published: tuple[str, ...]
    irrevocable: int
    restored: bool
    continues: bool = False
    exposure_seconds: float | None


def report_clean_up(report: CleanUpReport, registry: Registry, events: EventBridgeClient, bus: str) -> Published:
    """Records the status of the access and publishes what changed. A retry publishes the same events again.

    Every event is recorded before it is published. The execution that recorded an event publishes it; if that execution
    crashed, a later report does.
    """
    if report.caught and report.look:
        report = report.model_copy(update={"cleaned": ended_by(report.look, registry.revocations)})
    record = registry.accesses.get(report.access_id)
    failed = registry.revocations.open(report.access_id) if report.caught else []
    irrevocable = [marked for one in failed if (marked := registry.revocations.mark_irrevocable(one))]
    now = datetime.now(UTC)
    if record and report.observed:
        _record_state(report, report.observed, record, registry, now)
    exposure = _exposure(report, registry)
    _record_clean_ups(report, record, registry, now, exposure)
    if report.deleted_key:
        _record_deleted_key(report, report.deleted_key, record, registry, now)
    for revocation in irrevocable:
        _record_failure(report, record, revocation, registry, now)
    return Published(
        published=tuple(_publish(report, record, registry, now, partial(publish, events, bus))),
        irrevocable=len(irrevocable),
        restored=bool(report.cleaned and report.cleaned.restored),
        continues=bool(report.look and report.look.more and report.cleaned and report.cleaned.removed and not report.caught),
        exposureSeconds=exposure.seconds,
    )


def _record_clean_ups(
    report: CleanUpReport, record: AccessRecord | None, registry: Registry, now: datetime, exposure: Exposure
) -> None:
    """Records the events about grants that this execution, or one that crashed before its report, removed."""
    notices = {}
    if cleaned := _cleaned(report, record, exposure):
        notices[report.look.survey_id if report.look else None] = cleaned
    for survey in registry.revocations.unreported(report.access_id):
        if survey.survey_id not in notices and now > survey.ended_at + PUBLISHING_PERIOD:
            ended = ended_in(survey.access_id, survey.survey_id, registry.revocations)
            if dead := _cleaned(_of_dead(report, ended), record, Exposure()):
                notices[survey.survey_id] = dead.model_copy(update={"outcome_id": _notice_id([survey.survey_id, CLEANED_UP])})
    for survey_id, notice in notices.items():
        change = StatusChange(kind=CLEANED_UP, detail=_detail(notice), executionArn=report.execution_arn, at=now)
        registry.notices.record(RecordedNotice(report.access_id, notice.outcome_id, change))
        if survey_id:
            registry.revocations.note_reported(report.access_id, survey_id)


def _record_failure(
    report: CleanUpReport, record: AccessRecord | None, revocation: Revocation, registry: Registry, now: datetime
) -> None:
    """Records the event about a grant that could not be revoked, unless one with the same failure is recorded."""
    caught = (report.caught.error, report.caught.message) if report.caught else ("", "")
    name, message = revocation.failure or caught
    since, denial = revocation.irrevocable_since or now, denial_in(message)
    subject = [revocation.grant_id, since.isoformat(), name, denial.model_dump_json() if denial else ""]
    own = {
        "outcomeId": _notice_id([report.access_id, NOT_REVOKED, *subject]),
        "status": "irrevocable",
        "grantId": revocation.grant_id,
        "keyArn": revocation.key_arn,
        "reason": revocation.reason,
        "since": since,
        "failure": {"name": name, "message": message},
        "denial": denial,
        "remedy": revocation_command(revocation.key_arn, revocation.grant_id),
    }
    notice = GrantNotRevoked.model_validate(_common(report, record, NOT_REVOKED) | own)
    change = StatusChange(kind=NOT_REVOKED, detail=_detail(notice), executionArn=report.execution_arn, at=now)
    registry.notices.record(RecordedNotice(report.access_id, notice.outcome_id, change))


def _record_deleted_key(
    report: CleanUpReport, deleted: DeletedKey, record: AccessRecord | None, registry: Registry, now: datetime
) -> None:
    """Records the event about a key whose deletion was scheduled. A key that stays for good, or is gone, is no longer due."""
    if deleted.key_arn is None or deleted.state == "due":
        return
    if deleted.state == "scheduled":
        own = {
            "outcomeId": _notice_id([report.access_id, KEY_DELETION_SCHEDULED, deleted.key_arn]),
            "status": "offboarded",
            "keyArn": deleted.key_arn,
            "waitingDays": deleted.waiting_days,
            "evidence": deleted.evidence,
        }
        notice = KeyDeletionScheduled.model_validate(_common(report, record, KEY_DELETION_SCHEDULED) | own)
        change = StatusChange(kind=KEY_DELETION_SCHEDULED, detail=_detail(notice), executionArn=report.execution_arn, at=now)
        registry.notices.record(RecordedNotice(report.access_id, notice.outcome_id, change))
    registry.offboardings.end_key(report.access_id, deleted.key_arn)


def _of_dead(report: CleanUpReport, ended: CleanedUp) -> CleanUpReport:
    """A report about the grants that a crashed execution removed. Its trail event and error are unknown."""
    return report.model_copy(update={"cleaned": ended, "look": None, "hint": None, "caught": None})


def _publish(
    report: CleanUpReport,
    record: AccessRecord | None,
    registry: Registry,
    now: datetime,
    publish_event: Callable[[str, str, list[str]], None],
) -> Iterator[str]:
    """Publishes the recorded events of this execution and of crashed ones. Returns their detail types."""
    arns = [arn for arn in (record.key_arn, record.secret_arn, record.resource_arn) if arn] if record else []
    for notice in registry.notices.unpublished(report.access_id):
        if notice.change.is_for(report.execution_arn, now):
            publish_event(notice.change.kind, notice.change.detail, arns)
            registry.notices.keep_published(notice)
            yield notice.change.kind
    for change in registry.accesses.unpublished(report.access_id):
        if change.is_for(report.execution_arn, now):
            publish_event(change.kind, change.detail, arns)
            # Version 0.1.0 recorded events without an outcomeId.
            outcome_id = json.loads(change.detail).get("outcomeId") or _notice_id([change.detail])
            registry.notices.keep_published(RecordedNotice(report.access_id, outcome_id, change))
            registry.accesses.note_published(report.access_id, change)
            yield change.kind


def _record_state(
    report: CleanUpReport, observed: Observation, record: AccessRecord, registry: Registry, now: datetime
) -> None:
    """Records a changed status with the event that reports it, unless the record was written since it was observed."""
    lost, findings = (tuple(check.name for check in checks) for checks in (observed.lost, observed.findings))
    former = registry.accesses.findings(record.access_id)
    is_other_state = (record.status, registry.accesses.failed_checks(record.access_id)) != (observed.status, lost)
    if not observed.status or observed.version != record.version or not (is_other_state or findings != former):
        return
    notices = [
        _changed(report, observed, record, registry) if is_other_state else None,
        _drifted(report, observed, record) if findings != former else None,
    ]
    own = {"executionArn": report.execution_arn, "at": now}
    changes = [StatusChange.model_validate({"kind": kind, "detail": _detail(one)} | own) for kind, one in filter(None, notices)]
    registry.accesses.record_status(record, observed.status, lost, findings, changes)


def _drifted(report: CleanUpReport, observed: Observation, record: AccessRecord) -> tuple[str, Notice] | None:
    """The detail type and event that report other findings. Nothing drifts in an access whose resource is gone or detached."""
    if observed.status in ("gone", "detached"):
        return None
    if not observed.findings:
        return "Drift Resolved", DriftResolved.model_validate(_common(report, record, "Drift Resolved"))
    own = {"findings": observed.findings, "remedy": observed.remedy}
    return "Drift Detected", DriftDetected.model_validate(_common(report, record, "Drift Detected") | own)


def _changed(
    report: CleanUpReport, observed: Observation, record: AccessRecord, registry: Registry
) -> tuple[str, Notice] | None:
    """The detail type and event that report the new status, or None if no event does."""
    if observed.status in ("revoked", "detached"):
        own = {"lost": observed.lost, "proposal": observed.proposal, "remedy": observed.remedy}
        return "Access Revoked", AccessRevoked.model_validate(_common(report, record, "Access Revoked") | own)
    if observed.status == "active":
        return "Access Restored", AccessRestored.model_validate(_common(report, record, "Access Restored"))
    if observed.status == "gone" and (retired := _retired(report, record, registry)):
        what = {"removed": (retired,), "kept": (), "restored": False}
        return CLEANED_UP, GrantsCleanedUp.model_validate(_common(report, record, "retired") | what)
    return None


def _cleaned(report: CleanUpReport, record: AccessRecord | None, exposure: Exposure) -> GrantsCleanedUp | None:
    """The event that reports removed grants, or None if there are none and nothing was restored."""
    cleaned = report.cleaned or CleanedUp()
    if not (cleaned.removed or cleaned.restored):
        return None
    own = {"removed": cleaned.removed, "kept": cleaned.kept, "restored": cleaned.restored, **exposure.members}
    return GrantsCleanedUp.model_validate(_common(report, record, CLEANED_UP) | own)


def _common(report: CleanUpReport, record: AccessRecord | None, subject: str) -> dict[str, Any]:
    """The members of every event. `subject` distinguishes the events of one execution."""
    observed = report.observed
    # The event about the grants that a survey removed has the same id, whichever execution reports it.
    source = report.look.survey_id if report.look and subject == CLEANED_UP else report.execution_arn
    return {
        "outcomeId": _notice_id([source, subject]),
        "tenant": record.tenant if record else None,
        "accessId": report.access_id,
        "system": report.access_id.split("/")[0],
        "status": (observed.status if observed else None) or (record.status if record else "gone"),
        "hint": report.hint,
        "executionArn": report.execution_arn,
        "recordedAt": datetime.now(UTC),
    }


def _notice_id(parts: list[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _retired(report: CleanUpReport, record: AccessRecord, registry: Registry) -> RemovedGrant | None:
    """The grant that the service retired before the first survey, if it did.

    If a cleanup has removed a grant of this access since the access was recorded, that removal is reported instead, even if the
    same cleanup could not observe the access.
    """
    survey = report.look
    if survey is None or survey.resource_exists or survey.unreadable or (report.cleaned and report.cleaned.removed):
        return None
    # An execution that an earlier version started has no count.
    if survey.named or any(grant.verdict != "foreign" for grant in survey.grants):
        return None
    if registry.revocations.has_removed_since(report.access_id, registry.accesses.recorded_at(report.access_id)):
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


def _exposure(report: CleanUpReport, registry: Registry) -> Exposure:
    """How long the grants that this execution revoked were orphaned."""
    removed = report.cleaned.removed if report.cleaned else ()
    if report.look is None or not removed:
        return Exposure()
    known = (registry.accesses.recorded_at(report.access_id), registry.sweeps.state().in_use_at(report.access_id))
    return exposure_of(removed, report.look.at, report.hint, known)
