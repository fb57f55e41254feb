"""Records and publishes the one outcome of a request."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from latchkey.events.outcomes import OUTCOMES, CaughtError, Check, DetailType, Outcome, Resources
from latchkey.events.publishing import publish
from latchkey.registry import Registry
from latchkey.systems.system import Handoff
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient


class Report(WireModel):
    """What a state machine knows at the end of an execution; `whole`: an undo has been finished since the outcome."""

    detail_type: DetailType
    request_id: str
    content_hash: str
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
    """The outcome a report amounts to; reporting an execution again gives the same one."""
    common = {
        "requestId": report.request_id,
        "outcomeId": hashlib.sha256(report.execution_arn.encode()).hexdigest()[:32],
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
    """What was published."""

    detail_type: str
    outcome_id: str


def report_outcome(report: Report, registry: Registry, events: EventBridgeClient, bus: str) -> Reported:
    """Records the outcome unless the request has one, and publishes the one that is recorded.

    Raises TransientAwsError if EventBridge does not take the event; a retry publishes the same outcome again.
    """
    outcome = outcome_of(report)
    detail_type, detail = registry.requests.record_outcome(
        outcome.request_id,
        report.content_hash,
        outcome.outcome_id,
        report.detail_type,
        outcome.model_dump_json(by_alias=True, exclude_none=True),
    )
    recorded = json.loads(detail)
    if report.access_id:
        # By what is recorded: a report that comes too late for its outcome must not make an access that works look unfinished.
        left = detail_type == "Request Failed" and recorded["changed"] and not report.whole
        registry.locks.unlock(report.access_id, report.execution_arn, unfinished=left)
    arns = [arn for arn in recorded.get("resources", {}).values() if arn.startswith("arn:")]
    publish(events, bus, detail_type, detail, arns)
    return Reported(detailType=detail_type, outcomeId=recorded["outcomeId"])
