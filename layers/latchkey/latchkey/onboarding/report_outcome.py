"""Records and publishes the one outcome of a request, and unlocks its access."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from latchkey.errors import Problem
from latchkey.events.cleanup import NOT_REPAIRED, NOTICES, REPAIRED, Notice
from latchkey.events.findings import Repair
from latchkey.events.outcomes import (
    FAILURES,
    OUTCOMES,
    AccessPlanned,
    CaughtError,
    Check,
    DetailType,
    Evidence,
    KeyLeft,
    Outcome,
    Resources,
)
from latchkey.events.plans import Plan
from latchkey.events.publishing import publish
from latchkey.registry import Registry
from latchkey.registry.journal import REQUEST, Entry
from latchkey.registry.requests import RequestRef
from latchkey.requests.sender import is_about_tenant
from latchkey.systems.system import Handoff
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient


class Report(WireModel):
    """The result of an execution. What was rolled back and what is left is completed from the journal of the request.

    The result of a `repair` is reported by an event of its own, because nobody sent a request. `result` contains the members
    that only outcomes of this type have. `whole` has no effect: executions that an earlier version started send it.
    """

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
    warnings: tuple[Problem, ...] = ()
    caught: CaughtError | None = None
    result: dict[str, Any] | None = None
    undone: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    left_key: KeyLeft | None = None
    whole: bool = False
    repair: Repair | None = None


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
        own = {"status": "failed", "changed": report.changed, "failure": failure}
        own |= {"undone": report.undone, "left": report.left, "evidence": report.evidence}
    elif report.result is not None:
        # The members of the result come from JSON, which strict models convert only together.
        shared = report.model_dump(mode="json", by_alias=True, include={"changed", "checks", "resources"})
        return OUTCOMES[report.detail_type].model_validate_json(json.dumps(common | shared | report.result))
    else:
        reached = "handed-off" if report.handoff else "active"
        own = {
            "status": reached if report.changed else "unchanged",
            "changed": report.changed,
            "checks": report.checks,
            "resources": report.resources,
            "effectDelaySeconds": report.effect_delay_seconds,
            "warnings": report.warnings,
            **_left_key(report),
            **({"handoff": report.handoff} if report.handoff else {}),
        }
    # The members of a result come from JSON, whose arrays only JSON turns into tuples.
    return OUTCOMES[report.detail_type].model_validate_json(to_json(common | own, by_alias=True))


def _left_key(report: Report) -> dict[str, Any]:
    """What became of the former key of a secret that was moved, if it was."""
    if report.left_key is None or report.detail_type != "Access Onboarded":
        return {}
    return {"removed": report.left_key.removed, "left": report.left_key.left, "evidence": report.left_key.evidence}


class Reported(WireModel):
    """The outcome that was published. `crossedTenants` means that a sender was rejected because of its tenant."""

    detail_type: str
    outcome_id: str
    crossed_tenants: bool = False


def report_outcome(report: Report, registry: Registry, events: EventBridgeClient, bus: str) -> Reported:
    """Records the outcome of a request unless it has one, settles its journal, unlocks its access, and publishes the outcome.

    Raises TransientAwsError if EventBridge rejects the event; a retry publishes the same outcome again.
    """
    journal = registry.journal.of(report.execution_arn, report.access_id or "", DEFAULT_TENANT)
    outcome = outcome_of(_completed(report, journal.entries()))
    recorded = _record(outcome, report, registry)
    if isinstance(outcome, AccessPlanned):
        plan = outcome.model_dump_json(by_alias=True, include=set(Plan.model_fields))
        registry.plans.keep(report.tenant, outcome.plan_hash, report.request_id, plan)
    # Before their entries are settled, so that none of them stays locked.
    for companion in sorted(journal.access_ids() - {report.access_id}):
        registry.locks.unlock(companion, report.execution_arn)
    # The recorded outcome decides: a late report of a failure must not keep the journal of a working access.
    journal.settle(keep_open=recorded.detail_type in FAILURES)
    if report.access_id:
        registry.locks.unlock(report.access_id, report.execution_arn)
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
    kind: str = report.detail_type
    published: Outcome | Notice = outcome
    if report.repair is not None:
        kind, published = _notice_of(outcome, report, report.repair, registry)
    detail = published.model_dump_json(by_alias=True, exclude_none=True)
    ref = RequestRef(report.request_id, report.content_hash, report.tenant)
    return _RecordedOutcome(*registry.requests.record_outcome(ref, outcome.outcome_id, kind, detail))


def _notice_of(outcome: Outcome, report: Report, repair: Repair, registry: Registry) -> tuple[str, Notice]:
    """The detail type and the event that report a repair in the place of the outcome."""
    access_id = report.access_id or ""
    record = registry.accesses.get(access_id)
    common = {
        "outcomeId": outcome.outcome_id,
        "tenant": outcome.tenant,
        "accessId": access_id,
        "system": outcome.system or access_id.split("/")[0],
        "executionArn": outcome.execution_arn,
        "recordedAt": datetime.now(UTC),
        "findings": repair.findings,
        "remaining": repair.remaining,
        "reconciliation": repair.reconciliation,
    }
    if report.detail_type in FAILURES:
        kind, status = NOT_REPAIRED, record.status if record else "gone"
        own: dict[str, Any] = {
            "errors": outcome.errors,
            "failure": outcome.failure,
            "undone": outcome.undone,
            "left": outcome.left,
        }
    else:
        kind, status = REPAIRED, record.status if record else "active"
        own = {"checks": outcome.checks, "changed": outcome.changed}
    notice = NOTICES[kind].model_validate_json(to_json(common | {"status": status} | own, by_alias=True))
    return kind, notice


def _completed(report: Report, entries: Sequence[Entry]) -> Report:
    """The report of a failure, completed from the journal, because its rollback can have ended in an error."""
    if report.detail_type != "Request Failed":
        return report
    undone = {*report.undone, *(text for entry in entries for text in entry.undone)}
    left = tuple(sorted({entry.left for entry in entries if entry.left}))
    evidence = tuple(Evidence.model_validate_json(json.dumps(entry.evidence)) for entry in entries if entry.evidence)
    remains = any(entry.state == "abandoned" or (entry.state == "open" and entry.step != REQUEST) for entry in entries)
    changes = {"undone": tuple(sorted(undone)), "left": left, "evidence": evidence, "changed": report.changed or remains}
    return report.model_copy(update=changes)


def _publish(recorded: _RecordedOutcome, events: EventBridgeClient, bus: str) -> Reported:
    arns = [arn for arn in recorded.members.get("resources", {}).values() if arn.startswith("arn:")]
    publish(events, bus, recorded.detail_type, recorded.detail, arns)
    problems = [Problem(**problem) for problem in recorded.members.get("errors", ())]
    return Reported(
        detailType=recorded.detail_type,
        outcomeId=recorded.members["outcomeId"],
        crossedTenants=any(is_about_tenant(problem) for problem in problems),
    )
