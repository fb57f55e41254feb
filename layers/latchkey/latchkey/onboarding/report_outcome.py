"""Records and publishes the one outcome of a request, and unlocks its access."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from latchkey.errors import Problem
from latchkey.events.outcomes import OUTCOMES, CaughtError, Check, DetailType, Outcome, Resources
from latchkey.events.publishing import publish
from latchkey.registry import Registry
from latchkey.registry.requests import RequestRef
from latchkey.requests.sender import is_about_tenant
from latchkey.systems.system import Handoff
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient


class Report(WireModel):
    """The result of an execution. `whole` means that a rollback was finished after its outcome was recorded."""

    detail_type: DetailType
    request_id: str
    content_hash: str
    event_id: str | None = None
    tenant: str = DEFAULT_TENANT
    execution_arn: str
    access_id: str | None = None
    system: str | None = None
    changed: bool = False
    checks: tuple[Check, ...] = ()
    resources: Resources = Resources()
    handoff: Handoff | None = None
    effect_delay_seconds: int | None = None
    caught: CaughtError | None = None
    undone: tuple[str, ...] = ()
    whole: bool = False


def outcome_of(report: Report) -> Outcome:
    """The outcome of an execution. Reporting the same execution again returns the same outcome."""
    common = {
        "requestId": report.request_id,
        "eventId": report.event_id,
        "contentHash": report.content_hash,
        "outcomeId": hashlib.sha256(report.execution_arn.encode()).hexdigest()[:32],
        "tenant": report.tenant,
        "accessId": report.access_id,
        "system": report.system,
        "executionArn": report.execution_arn,
    }
    if report.detail_type == "Request Rejected" and report.caught:
        own = {"status": "rejected", "changed": False, "errors": report.caught.problems}
    elif report.detail_type == "Request Failed" and report.caught:
        failure = {"name": report.caught.error, "message": report.caught.message}
        own = {"status": "failed", "changed": report.changed, "failure": failure, "undone": report.undone}
    else:
        reached = "handed-off" if report.handoff else "active"
        own = {
            "status": reached if report.changed else "unchanged",
            "changed": report.changed,
            "checks": report.checks,
            "resources": report.resources,
            "effectDelaySeconds": report.effect_delay_seconds,
            **({"handoff": report.handoff} if report.handoff else {}),
        }
    return OUTCOMES[report.detail_type].model_validate(common | own)


class Reported(WireModel):
    """The outcome that was published. `crossedTenants` means that a sender was rejected because of its tenant."""

    detail_type: str
    outcome_id: str
    crossed_tenants: bool = False


def report_outcome(report: Report, registry: Registry, events: EventBridgeClient, bus: str) -> Reported:
    """Records the outcome of a request unless it has one, unlocks its access, and publishes the recorded outcome.

    Raises TransientAwsError if EventBridge rejects the event; a retry publishes the same outcome again.
    """
    outcome = outcome_of(report)
    recorded = _record(outcome, report, registry)
    _unlock_access(report, recorded, registry)
    return _publish(recorded, events, bus)


class _RecordedOutcome(NamedTuple):
    """The outcome that the registry holds; it differs from the one of this report if an earlier report was first."""

    detail_type: str
    detail: str

    @property
    def members(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(self.detail)
        return members


def _record(outcome: Outcome, report: Report, registry: Registry) -> _RecordedOutcome:
    detail = outcome.model_dump_json(by_alias=True, exclude_none=True)
    ref = RequestRef(report.request_id, report.content_hash, report.tenant)
    return _RecordedOutcome(*registry.requests.record_outcome(ref, outcome.outcome_id, report.detail_type, detail))


def _unlock_access(report: Report, recorded: _RecordedOutcome, registry: Registry) -> None:
    """Unlocks the access; the notes of an unfinished rollback are kept.

    The recorded outcome decides whether that is so: a late report must not make a working access look unfinished.
    """
    if report.access_id:
        failed = recorded.detail_type == "Request Failed" and recorded.members["changed"]
        registry.locks.unlock(report.access_id, report.execution_arn, unfinished=failed and not report.whole)


def _publish(recorded: _RecordedOutcome, events: EventBridgeClient, bus: str) -> Reported:
    arns = [arn for arn in recorded.members.get("resources", {}).values() if arn.startswith("arn:")]
    publish(events, bus, recorded.detail_type, recorded.detail, arns)
    problems = [Problem(**problem) for problem in recorded.members.get("errors", ())]
    return Reported(
        detailType=recorded.detail_type,
        outcomeId=recorded.members["outcomeId"],
        crossedTenants=any(is_about_tenant(problem) for problem in problems),
    )
