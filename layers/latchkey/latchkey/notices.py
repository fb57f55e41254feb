"""What Latchkey says that nobody asked for: grants that were cleaned up, accesses that were revoked or came back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from latchkey.accesses import AccessRecord
from latchkey.cleaning import CleanedUp, KeptGrant, Look, RemovedGrant, ended_by
from latchkey.documents import Document
from latchkey.hints import Hint
from latchkey.observing import Observation
from latchkey.outcomes import CaughtError, CheckResult, Failure, publish
from latchkey.registry import Registry
from latchkey.revocations import Revocations

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


NOTICES: dict[str, type[Notice]] = {
    "Grants Cleaned Up": GrantsCleanedUp,
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
    report: CleanUpReport, registry: Registry, revocations: Revocations, events: EventBridgeClient, bus: str
) -> Told:
    """Records the state of the access and publishes what changed; a retry publishes the same events again."""
    if report.caught and report.look:
        report = report.model_copy(update={"cleaned": ended_by(report.look, revocations)})
    record = registry.access(report.access_id)
    irrevocable = revocations.open(report.access_id) if report.caught else []
    for revocation in irrevocable:
        revocations.mark_irrevocable(revocation)
    notices = [*_notices(report, record, registry.lost(report.access_id), irrevocable=bool(irrevocable))]
    for kind, notice in notices:
        detail = notice.model_dump_json(by_alias=True, exclude_none=True)
        arns = [arn for arn in (record.key_arn, record.secret_arn, record.resource_arn) if arn] if record else []
        publish(events, bus, kind, detail, arns)
    observed = report.observed
    if record and observed and observed.status and _is_news(record, observed, registry.lost(report.access_id)):
        registry.set_state(record, observed.status, [check.name for check in observed.lost])
    return Told(
        told=tuple(kind for kind, _ in notices),
        irrevocable=len(irrevocable),
        restored=bool(report.cleaned and report.cleaned.restored),
        exposureSeconds=_exposure(report),
    )


def _notices(
    report: CleanUpReport, record: AccessRecord | None, lost: tuple[str, ...], *, irrevocable: bool
) -> Iterator[tuple[str, Notice]]:
    observed = report.observed
    status = (observed.status if observed else None) or (record.status if record else "gone")
    common = {
        "accessId": report.access_id,
        "system": report.access_id.split("/")[0],
        "status": status,
        "hint": report.hint,
        "executionArn": report.execution_arn,
    }
    removed, cleaned = _removed(report, record), report.cleaned or CleanedUp()
    if removed or irrevocable or cleaned.restored:
        failure = Failure(name=report.caught.error, message=report.caught.message) if report.caught else None
        own = {"removed": removed, "kept": cleaned.kept, "restored": cleaned.restored, "failure": failure}
        own |= {"exposureSeconds": _exposure(report)} | ({"status": "irrevocable"} if irrevocable else {})
        yield "Grants Cleaned Up", GrantsCleanedUp.model_validate(common | own | _id(report, "Grants Cleaned Up"))
    if record is None or observed is None or observed.status is None or not _is_news(record, observed, lost):
        return
    if observed.status in ("revoked", "detached"):
        own = {"lost": observed.lost, "proposal": observed.proposal}
        yield "Access Revoked", AccessRevoked.model_validate(common | own | _id(report, "Access Revoked"))
    elif observed.status == "active":
        yield "Access Restored", AccessRestored.model_validate(common | _id(report, "Access Restored"))


def _is_news(record: AccessRecord, observed: Observation, lost: tuple[str, ...]) -> bool:
    """Has the state changed, and has nobody recorded another since it was observed?"""
    changed = (record.status, lost) != (observed.status, tuple(check.name for check in observed.lost))
    return changed and observed.version == record.version


def _removed(report: CleanUpReport, record: AccessRecord | None) -> tuple[RemovedGrant, ...]:
    """What is gone, the grant included that the service retired before anybody looked."""
    removed, look = (report.cleaned.removed if report.cleaned else ()), report.look
    if removed or look is None or look.owner_exists or record is None or record.status == "gone":
        return removed
    if look.unreadable or any(grant.verdict != "foreign" for grant in look.grants):
        return ()
    return (
        RemovedGrant(
            grantId=None,
            keyArn=record.key_arn,
            removedBy="service",
            reason="its source location is absent",
            evidence=(look.owner_evidence,),
            removedAt=look.at,
        ),
    )


def _exposure(report: CleanUpReport) -> float | None:
    """Seconds from the end of the owner to the end of the last grant that Latchkey revoked."""
    ended = [
        removed.removed_at for removed in (report.cleaned.removed if report.cleaned else ()) if removed.removed_by == "latchkey"
    ]
    since = report.hint.event_time if report.hint else (report.look.at if report.look else None)
    return max((max(ended) - since).total_seconds(), 0.0) if ended and since else None


def _id(report: CleanUpReport, kind: str) -> dict[str, str]:
    text = json.dumps([report.execution_arn, kind])
    return {"outcomeId": hashlib.sha256(text.encode()).hexdigest()[:32]}
