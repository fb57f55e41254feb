"""What Latchkey says that nobody asked for: grants that were cleaned up, accesses that were revoked or came back."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from latchkey.accesses import AccessRecord
from latchkey.cleaning import CleanedUp, KeptGrant, Look, RemovedGrant, ended_by
from latchkey.documents import Document
from latchkey.hints import Hint
from latchkey.observing import Observation
from latchkey.outcomes import CaughtError, CheckResult, Failure, publish
from latchkey.registry import Registry
from latchkey.revocations import Revocations
from latchkey.states import Change, States

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient


class Notice(Document):
    """What all of these events tell. `outcomeId` tells a second delivery from a second event."""

    version: Literal["1"] = "1"
    outcome_id: str
    access_id: str
    system: str
    status: str
    hint: Hint | None = None
    execution_arn: str


class GrantsCleanedUp(Notice):
    """Grants of an access that are gone, by whom and from which reads, and those that were meant to go and stay.

    `exposureSeconds` is the time from the hint, or else the first look, to the last revocation by Latchkey. `status` is
    `irrevocable` if a grant could not be revoked; the sweep tries again.
    """

    removed: tuple[RemovedGrant, ...]
    kept: tuple[KeptGrant, ...]
    restored: bool
    exposure_seconds: float | None = None
    failure: Failure | None = None


class AccessRevoked(Notice):
    """The service cannot read any more, or could not be given its grant again: the failed checks say why."""

    status: Literal["revoked", "detached"]
    lost: tuple[CheckResult, ...]
    proposal: str | None = None


class AccessRestored(Notice):
    """An access that was revoked or detached passes its checks again."""

    status: Literal["active"]


_CLEANED_UP = "Grants Cleaned Up"

NOTICES: dict[str, type[Notice]] = {
    _CLEANED_UP: GrantsCleanedUp,
    "Access Revoked": AccessRevoked,
    "Access Restored": AccessRestored,
}


class CleanUpReport(Document):
    """What the state machine knows at the end of a clean-up; each part is missing if the execution did not come so far."""

    access_id: str
    execution_arn: str
    hint: Hint | None = None
    look: Look | None = None
    cleaned: CleanedUp | None = None
    observed: Observation | None = None
    caught: CaughtError | None = None


class Told(Document):
    """The kinds of events that were published; `irrevocable` counts grants that could not be revoked."""

    told: tuple[str, ...]
    irrevocable: int
    restored: bool
    exposure_seconds: float | None


def report_clean_up(
    report: CleanUpReport, registry: Registry, states: States, revocations: Revocations, events: EventBridgeClient, bus: str
) -> Told:
    """Records the state of the access and publishes what changed; a retry publishes the same events again.

    A change is told by whoever recorded it, or by a later report if that died.
    """
    if report.caught and report.look:
        report = report.model_copy(update={"cleaned": ended_by(report.look, revocations)})
    record = registry.access(report.access_id)
    irrevocable = revocations.open(report.access_id) if report.caught else []
    for revocation in irrevocable:
        revocations.mark_irrevocable(revocation)
    now = datetime.now(UTC)
    if record and report.observed:
        _record_state(report, report.observed, record, states, now)
    arns = [arn for arn in (record.key_arn, record.secret_arn, record.resource_arn) if arn] if record else []
    told = []
    if cleaned := _cleaned(report, record, irrevocable=bool(irrevocable)):
        publish(events, bus, _CLEANED_UP, _detail(cleaned), arns)
        told.append(_CLEANED_UP)
    for change in states.untold(report.access_id):
        if change.is_for(report.execution_arn, now):
            publish(events, bus, change.kind, change.detail, arns)
            states.note_told(report.access_id, change)
            told.append(change.kind)
    return Told(
        told=tuple(told),
        irrevocable=len(irrevocable),
        restored=bool(report.cleaned and report.cleaned.restored),
        exposureSeconds=_exposure(report),
    )


def _record_state(report: CleanUpReport, observed: Observation, record: AccessRecord, states: States, now: datetime) -> None:
    """Records the state with the event that tells it, if it has changed and nobody recorded another since it was observed."""
    lost = tuple(check.name for check in observed.lost)
    changed = (record.status, states.lost(record.access_id)) != (observed.status, lost)
    if not observed.status or not changed or observed.version != record.version:
        return
    notice = _changed(report, observed, record)
    change = notice and Change(kind=notice[0], detail=_detail(notice[1]), executionArn=report.execution_arn, at=now)
    states.record(record, observed.status, lost, change)


def _changed(report: CleanUpReport, observed: Observation, record: AccessRecord) -> tuple[str, Notice] | None:
    """The event that tells a new state, if one does."""
    if observed.status in ("revoked", "detached"):
        own = {"lost": observed.lost, "proposal": observed.proposal}
        return "Access Revoked", AccessRevoked.model_validate(_common(report, record, "Access Revoked") | own)
    if observed.status == "active":
        return "Access Restored", AccessRestored.model_validate(_common(report, record, "Access Restored"))
    if observed.status == "gone" and (retired := _retired(report, record)):
        what = {"removed": (retired,), "kept": (), "restored": False}
        return _CLEANED_UP, GrantsCleanedUp.model_validate(_common(report, record, "retired") | what)
    return None


def _cleaned(report: CleanUpReport, record: AccessRecord | None, *, irrevocable: bool) -> GrantsCleanedUp | None:
    """What the clean-up did, or could not do."""
    cleaned = report.cleaned or CleanedUp()
    if not (cleaned.removed or irrevocable or cleaned.restored):
        return None
    failure = Failure(name=report.caught.error, message=report.caught.message) if report.caught else None
    own = {"removed": cleaned.removed, "kept": cleaned.kept, "restored": cleaned.restored, "failure": failure}
    own |= {"exposureSeconds": _exposure(report)} | ({"status": "irrevocable"} if irrevocable else {})
    return GrantsCleanedUp.model_validate(_common(report, record, _CLEANED_UP) | own)


def _common(report: CleanUpReport, record: AccessRecord | None, told: str) -> dict[str, Any]:
    """The members of every event; `told` is what tells it from the others of its execution."""
    observed = report.observed
    text = json.dumps([report.execution_arn, told])
    return {
        "outcomeId": hashlib.sha256(text.encode()).hexdigest()[:32],
        "accessId": report.access_id,
        "system": report.access_id.split("/")[0],
        "status": (observed.status if observed else None) or (record.status if record else "gone"),
        "hint": report.hint,
        "executionArn": report.execution_arn,
    }


def _retired(report: CleanUpReport, record: AccessRecord) -> RemovedGrant | None:
    """The grant that the service retired before anybody looked, if it did."""
    look = report.look
    if look is None or look.owner_exists or look.unreadable or (report.cleaned and report.cleaned.removed):
        return None
    if any(grant.verdict != "foreign" for grant in look.grants):
        return None
    return RemovedGrant(
        grantId=None,
        keyArn=record.key_arn,
        removedBy="service",
        reason="its source location is absent",
        evidence=(look.owner_evidence,),
        removedAt=look.at,
    )


def _detail(notice: Notice) -> str:
    return notice.model_dump_json(by_alias=True, exclude_none=True)


def _exposure(report: CleanUpReport) -> float | None:
    """Seconds from the end of the owner to the end of the last grant that Latchkey revoked."""
    ended = [
        removed.removed_at for removed in (report.cleaned.removed if report.cleaned else ()) if removed.removed_by == "latchkey"
    ]
    since = report.hint.event_time if report.hint else (report.look.at if report.look else None)
    return max((max(ended) - since).total_seconds(), 0.0) if ended and since else None
