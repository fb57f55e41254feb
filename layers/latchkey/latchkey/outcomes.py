"""What Latchkey says at the end of a request: one outcome, recorded once and published at least once."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from latchkey import errors
from latchkey.documents import Document
from latchkey.errors import TransientAwsError
from latchkey.registry import Registry
from latchkey.systems.system import Handoff

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient

SOURCE = "latchkey"
DetailType = Literal["Access Onboarded", "Access Handed Off", "Request Rejected", "Request Failed"]


class CheckResult(Document):
    """One check of the finished access; the evidence names what was seen, never a value."""

    name: str
    passed: bool
    evidence: str


class ProblemFound(Document):
    """One thing wrong with the request: the place (a JSON path) and the rule it breaks."""

    place: str
    rule: str


class Failure(Document):
    """What failed: the class name of the error and its message."""

    name: str
    message: str


class Resources(Document):
    """ARNs and ids of what serves the access."""

    key_arn: str | None = None
    secret_arn: str | None = None
    role_arn: str | None = None
    resource_arn: str | None = None
    grant_id: str | None = None


class Outcome(Document):
    """The detail of every outcome event. `outcomeId` tells a second delivery from a second outcome."""

    version: Literal["1"] = "1"
    request_id: str
    outcome_id: str
    access_id: str | None = None
    system: str | None = None
    status: Literal["active", "handed-off", "unchanged", "rejected", "failed"]
    changed: bool
    checks: tuple[CheckResult, ...] = ()
    resources: Resources = Resources()
    errors: tuple[ProblemFound, ...] = ()
    failure: Failure | None = None
    undone: tuple[str, ...] = ()
    execution_arn: str = Field(pattern=r"^arn:")


class AccessOnboarded(Outcome):
    """The access works: every check passed. `unchanged` says that it did so before the request.

    `effectDelaySeconds` is how long the service may go on with what it read before.
    """

    access_id: str
    system: str
    status: Literal["active", "unchanged"]
    checks: tuple[CheckResult, ...]
    effect_delay_seconds: int | None = None


class AccessHandedOff(Outcome):
    """All is made but what a person, or a template of its owner, must set: `handoff` says what.

    A `Handoff Confirmed` with the access id ends it; every check but those of the resource has passed.
    """

    access_id: str
    system: str
    status: Literal["handed-off", "unchanged"]
    checks: tuple[CheckResult, ...]
    handoff: Handoff
    effect_delay_seconds: int | None = None


class RequestRejected(Outcome):
    """The request cannot be carried out as asked, for all the reasons in `errors`; nothing was changed."""

    status: Literal["rejected"]
    changed: Literal[False]
    errors: tuple[ProblemFound, ...]


class RequestFailed(Outcome):
    """The request was sound, but something on the way failed; `undone` was taken back of what it had made.

    `changed` is true only if that could not be done whole; then the tag `latchkey:request` shows what is left.
    """

    status: Literal["failed"]
    failure: Failure


OUTCOMES: dict[DetailType, type[Outcome]] = {
    "Access Onboarded": AccessOnboarded,
    "Access Handed Off": AccessHandedOff,
    "Request Rejected": RequestRejected,
    "Request Failed": RequestFailed,
}


class _Problems(Document):
    problems: tuple[ProblemFound, ...]


def _json(text: str) -> Any:
    """A JSON document, or None if the text is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


class CaughtError(Document):
    """What Step Functions' Catch hands on: the error's class name and, from a Lambda function, JSON with its message."""

    error: str = Field(alias="Error")
    cause: str = Field(default="", alias="Cause")

    @property
    def message(self) -> str:
        """The message of our own errors, which hold no value; of any other error only its name is told."""
        own = getattr(errors, self.error, None)
        if not (isinstance(own, type) and issubclass(own, errors.LatchkeyError)):
            return ""
        told = _json(self.cause)
        message = told.get("errorMessage") if isinstance(told, dict) else None
        # Half a character can be told in no event.
        return message.encode(errors="replace").decode() if isinstance(message, str) else ""

    @property
    def problems(self) -> tuple[ProblemFound, ...]:
        """The problems an InvalidRequest lists, or none if its message is of another form."""
        try:
            return _Problems.model_validate_json(self.message).problems
        except ValidationError:
            return ()


class Report(Document):
    """What a state machine knows at the end of an execution; `whole`: an undo has been finished since the outcome."""

    detail_type: DetailType
    request_id: str
    content_hash: str
    execution_arn: str
    access_id: str | None = None
    system: str | None = None
    changed: bool = False
    checks: tuple[CheckResult, ...] = ()
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


class Reported(Document):
    """What was published."""

    detail_type: str
    outcome_id: str


def report_outcome(report: Report, registry: Registry, events: EventBridgeClient, bus: str) -> Reported:
    """Records the outcome unless the request has one, and publishes the one that is recorded.

    Raises TransientAwsError if EventBridge does not take the event; a retry publishes the same outcome again.
    """
    outcome = outcome_of(report)
    detail_type, detail = registry.record_outcome(
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
        registry.end_access(report.access_id, report.execution_arn, unfinished=left)
    arns = [arn for arn in recorded.get("resources", {}).values() if arn.startswith("arn:")]
    publish(events, bus, detail_type, detail, arns)
    return Reported(detailType=detail_type, outcomeId=recorded["outcomeId"])


def publish(events: EventBridgeClient, bus: str, detail_type: str, detail: str, arns: list[str]) -> None:
    """Puts one event of Latchkey's on the bus; raises TransientAwsError if EventBridge does not take it."""
    answer = events.put_events(
        Entries=[{"EventBusName": bus, "Source": SOURCE, "DetailType": detail_type, "Detail": detail, "Resources": arns}]
    )
    if answer["FailedEntryCount"]:
        raise TransientAwsError(f"EventBridge did not take the outcome: {answer['Entries'][0].get('ErrorCode')}")
