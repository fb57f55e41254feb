"""Reports a cleanup: records the observed status of the access, and publishes what changed."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from latchkey.access.record import AccessRecord
from latchkey.access.remedy import revocation as revocation_command
from latchkey.cleanup.clean_up_grants import CleanedUp, GrantSurvey, ended_by, ended_in
from latchkey.cleanup.exposure import Exposure, exposure_of
from latchkey.cleanup.verdict import Reason
from latchkey.events.cleanup import (
    CLEANED_UP,
    KEY_DELETION_SCHEDULED,
    NOT_REVOKED,
    DeletedKey,
    GrantNotRevoked,
    GrantsCleanedUp,
    KeyDeletionScheduled,
    Notice,
    TrailEvent,
)
from latchkey.events.denial import denial_in
from latchkey.events.outcomes import CaughtError, RemovedGrant
from latchkey.events.publishing import publish
from latchkey.observation.notices import (
    Occasion,
    common_members,
    notice_id,
    publish_notices,
    record_notice,
    record_observation,
)
from latchkey.observation.observe_access import Observation
from latchkey.registry import Registry
from latchkey.registry.accesses import PUBLISHING_PERIOD
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
    occasion = _occasion(report, datetime.now(UTC))
    if record and report.observed:
        record_observation(occasion, report.observed, record, registry, partial(_gone, occasion, report, record, registry))
    exposure = _exposure(report, registry)
    _record_clean_ups(occasion, report, record, registry, exposure)
    if report.deleted_key:
        _record_deleted_key(occasion, report.deleted_key, record, registry)
    for revocation in irrevocable:
        _record_failure(occasion, report, record, revocation, registry)
    return Published(
        published=tuple(publish_notices(occasion, record, registry, partial(publish, events, bus))),
        irrevocable=len(irrevocable),
        restored=bool(report.cleaned and report.cleaned.restored),
        continues=bool(report.look and report.look.more and report.cleaned and report.cleaned.removed and not report.caught),
        exposureSeconds=exposure.seconds,
    )


def _occasion(report: CleanUpReport, now: datetime) -> Occasion:
    return Occasion(report.access_id, report.execution_arn, now, report.execution_arn, report.hint)


def _status(report: CleanUpReport) -> str | None:
    return report.observed.status if report.observed else None


def _record_clean_ups(
    occasion: Occasion, report: CleanUpReport, record: AccessRecord | None, registry: Registry, exposure: Exposure
) -> None:
    """Records the events about grants that this execution, or one that crashed before its report, removed."""
    notices = {}
    if cleaned := _cleaned(occasion, report, record, exposure):
        notices[report.look.survey_id if report.look else None] = cleaned
    for survey in registry.revocations.unreported(report.access_id):
        if survey.survey_id not in notices and occasion.now > survey.ended_at + PUBLISHING_PERIOD:
            ended = ended_in(survey.access_id, survey.survey_id, registry.revocations)
            of_dead = _of_dead(report, ended)
            if dead := _cleaned(_occasion(of_dead, occasion.now), of_dead, record, Exposure()):
                notices[survey.survey_id] = dead.model_copy(update={"outcome_id": notice_id([survey.survey_id, CLEANED_UP])})
    for survey_id, notice in notices.items():
        record_notice(occasion, CLEANED_UP, notice, registry)
        if survey_id:
            registry.revocations.note_reported(report.access_id, survey_id)


def _record_failure(
    occasion: Occasion, report: CleanUpReport, record: AccessRecord | None, revocation: Revocation, registry: Registry
) -> None:
    """Records the event about a grant that could not be revoked, unless one with the same failure is recorded."""
    caught = (report.caught.error, report.caught.message) if report.caught else ("", "")
    name, message = revocation.failure or caught
    since, denial = revocation.irrevocable_since or occasion.now, denial_in(message)
    subject = [revocation.grant_id, since.isoformat(), name, denial.model_dump_json() if denial else ""]
    own = {
        "outcomeId": notice_id([report.access_id, NOT_REVOKED, *subject]),
        "status": "irrevocable",
        "grantId": revocation.grant_id,
        "keyArn": revocation.key_arn,
        "reason": revocation.reason,
        "since": since,
        "failure": {"name": name, "message": message},
        "denial": denial,
        "remedy": revocation_command(revocation.key_arn, revocation.grant_id),
    }
    common = common_members(occasion, _status(report), record, NOT_REVOKED)
    record_notice(occasion, NOT_REVOKED, GrantNotRevoked.model_validate(common | own), registry)


def _record_deleted_key(occasion: Occasion, deleted: DeletedKey, record: AccessRecord | None, registry: Registry) -> None:
    """Records the event about a key whose deletion was scheduled. A key that stays for good, or is gone, is no longer due."""
    if deleted.key_arn is None or deleted.state == "due":
        return
    if deleted.state == "scheduled":
        own = {
            "outcomeId": notice_id([occasion.access_id, KEY_DELETION_SCHEDULED, deleted.key_arn]),
            "status": "offboarded",
            "keyArn": deleted.key_arn,
            "waitingDays": deleted.waiting_days,
            "evidence": deleted.evidence,
        }
        common = common_members(occasion, None, record, KEY_DELETION_SCHEDULED)
        record_notice(occasion, KEY_DELETION_SCHEDULED, KeyDeletionScheduled.model_validate(common | own), registry)
    registry.offboardings.end_key(occasion.access_id, deleted.key_arn)


def _of_dead(report: CleanUpReport, ended: CleanedUp) -> CleanUpReport:
    """A report about the grants that a crashed execution removed. Its trail event and error are unknown."""
    return report.model_copy(update={"cleaned": ended, "look": None, "hint": None, "caught": None})


def _gone(occasion: Occasion, report: CleanUpReport, record: AccessRecord, registry: Registry) -> tuple[str, Notice] | None:
    """The event about the grant that the service retired when its resource was deleted, if it did."""
    if retired := _retired(report, record, registry):
        what = {"removed": (retired,), "kept": (), "restored": False}
        common = common_members(occasion, _status(report), record, "retired")
        return CLEANED_UP, GrantsCleanedUp.model_validate(common | what)
    return None


def _cleaned(
    occasion: Occasion, report: CleanUpReport, record: AccessRecord | None, exposure: Exposure
) -> GrantsCleanedUp | None:
    """The event that reports removed grants, or None if there are none and nothing was restored."""
    cleaned = report.cleaned or CleanedUp()
    if not (cleaned.removed or cleaned.restored):
        return None
    own = {"removed": cleaned.removed, "kept": cleaned.kept, "restored": cleaned.restored, **exposure.members}
    # The event about the grants that a survey removed has the same id, whichever execution reports it.
    survey_id = report.look.survey_id if report.look else ""
    return GrantsCleanedUp.model_validate(common_members(occasion, _status(report), record, CLEANED_UP, survey_id) | own)


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


def _exposure(report: CleanUpReport, registry: Registry) -> Exposure:
    """How long the grants that this execution revoked were orphaned."""
    removed = report.cleaned.removed if report.cleaned else ()
    if report.look is None or not removed:
        return Exposure()
    known = (registry.accesses.recorded_at(report.access_id), registry.sweeps.state().in_use_at(report.access_id))
    return exposure_of(removed, report.look.at, report.hint, known)
