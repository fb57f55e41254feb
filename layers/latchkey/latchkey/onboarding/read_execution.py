"""Reads an ended onboarding execution: its request, how far it came, and whether its outcome was reported."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from latchkey.aws.executions import Execution, find_execution, next_execution
from latchkey.errors import Conflict, ExecutionEnded, NotYetEffective
from latchkey.events.findings import Repair
from latchkey.events.outcomes import FAILURES, CaughtError
from latchkey.registry import Registry
from latchkey.registry.execution_input import SCHEDULED, ExecutionInput
from latchkey.registry.requests import JUST_STARTED
from latchkey.requests.lifecycle import BULK_ONBOARDING_REQUESTED, OFFBOARDING_REQUESTED
from latchkey.requests.models import ONBOARDING_REQUESTED
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient

# The error with which the state machine ends after it has reported an outcome. After any other end, no outcome was reported.
REPORTED = "RequestNotCarriedOut"
# Step Functions deletes executions 90 days after they ended; a change that cannot be rolled back can stay open for longer.
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
FORGOTTEN = "FORGOTTEN"
# The number of times that a request is continued. After that, it fails, and its outcome lists what is done and what is left.
MOST_RESUMPTIONS = 5
# The kinds of requests that are never rolled back: another execution continues them.
_RESUMED = frozenset([BULK_ONBOARDING_REQUESTED, OFFBOARDING_REQUESTED])
_STARTED = "the execution has just started"
_ENDED = {
    "ABORTED": "was aborted",
    "FAILED": "failed before it reported an outcome",
    "TIMED_OUT": "timed out",
    FORGOTTEN: "ended more than 90 days ago",
}


class ReadExecutionInput(WireModel):
    """An execution of the onboarding state machine that has ended or does not exist, and the item of its request if known."""

    execution_arn: str
    request_item: str | None = None


class EndedExecution(WireModel):
    """The request of an execution, and the facts that decide how to end it.

    `executionArn` is the first execution of the request, and `lastArn` the last one that continued it. `kind` is the detail
    type of the request. `resumable`: another execution can continue it. `offboards`: it removes an access. `answered`: nothing
    is left to do. `reported`: the execution published the outcome itself. `unfinished`: an outcome is recorded, and the journal
    has open entries. `atRest`: no function of the execution can still be running. `outcomeRecorded`: the outcome is recorded,
    but might not be published. `repair` is what a repair is about. `keyArn` and `secretArn` are those of the
    access if this execution recorded it. `staged`: the execution recorded the access before its resource was configured.
    """

    execution_arn: str
    last_arn: str
    kind: str
    resumable: bool = False
    offboards: bool = False
    answered: bool
    reported: bool
    unfinished: bool
    at_rest: bool
    outcome_recorded: bool
    access_recorded: bool
    has_request: bool
    request_id: str
    content_hash: str
    event_id: str | None
    system: str | None
    access_id: str | None
    request: dict[str, Any] | None
    asked: dict[str, Any] | None = None
    tenant: str
    confirms: bool
    staged: bool
    repair: Repair | None = None
    key_arn: str | None
    secret_arn: str | None
    caught: CaughtError


def read_execution(event: ReadExecutionInput, stepfunctions: SFNClient, registry: Registry) -> EndedExecution:
    """Returns an execution together with what the registry has about its request.

    If Step Functions has deleted the execution, its input is read from the journal. An execution that was never started has
    nothing to roll back. Its request is ended, so that it can no longer start.
    """
    execution_arn = _first_execution(event.execution_arn, stepfunctions)
    execution = find_execution(stepfunctions, execution_arn)
    forgotten = _forgotten_input(execution_arn, registry) if execution is None else None
    if execution is None and forgotten is None:
        return _never_started(event, registry)
    received = ExecutionInput.model_validate_json(execution.input if execution else json.dumps(forgotten))
    last_arn, last, resumptions = _last_execution(execution_arn, execution, stepfunctions)
    status = last.status if last else FORGOTTEN
    recorded = registry.accesses.recorded_by(received.access_id, received.request_id) if received.access_id else None
    outcome = registry.requests.recorded_outcome(received.ref)
    reported = outcome is not None if last is None else status == "FAILED" and last.error == REPORTED
    # A success settles its journal. Any remaining entries have only not been deleted yet.
    is_open = received.access_id is not None and status in _ENDED and registry.is_open(execution_arn, received.access_id)
    unfinished = is_open and outcome in FAILURES
    is_valid = received.request is not None or received.asked is not None
    is_resumable = received.kind in _RESUMED and execution is not None and is_valid
    return EndedExecution(
        executionArn=execution_arn,
        lastArn=last_arn,
        kind=received.kind,
        offboards=received.kind == OFFBOARDING_REQUESTED and received.request is not None,
        resumable=is_resumable and outcome is None and resumptions < MOST_RESUMPTIONS,
        answered=received.request_id == SCHEDULED or (not unfinished and (status not in _ENDED or reported)),
        reported=reported,
        unfinished=unfinished,
        atRest=status in ("FAILED", FORGOTTEN),
        outcomeRecorded=outcome is not None,
        accessRecorded=recorded is not None,
        hasRequest=received.request is not None,
        requestId=received.request_id,
        contentHash=received.content_hash,
        eventId=received.event_id,
        system=received.system,
        accessId=received.access_id,
        request=received.request.wire if received.request else None,
        asked=received.asked.wire if received.asked else None,
        tenant=received.tenant,
        confirms=received.confirms,
        staged=bool(recorded and received.request and recorded.reached == "handed-off" and received.request.resource.configure),
        repair=received.repair,
        keyArn=recorded.key_arn if recorded else None,
        secretArn=recorded.secret_arn if recorded else None,
        caught=_ended(_ENDED.get(status, status)),
    )


def _first_execution(execution_arn: str, stepfunctions: SFNClient) -> str:
    """The first execution of a request: an execution that continues another one names it."""
    execution = find_execution(stepfunctions, execution_arn)
    resumes = ExecutionInput.model_validate_json(execution.input).resumes if execution else None
    return resumes or execution_arn


def _last_execution(
    execution_arn: str, execution: Execution | None, stepfunctions: SFNClient
) -> tuple[str, Execution | None, int]:
    """The last execution that continues a request, and how many have continued it."""
    last_arn, last, resumptions = execution_arn, execution, 0
    while last is not None and resumptions < MOST_RESUMPTIONS:
        following_arn = next_execution(last_arn)
        following = find_execution(stepfunctions, following_arn)
        if following is None:
            break
        last_arn, last, resumptions = following_arn, following, resumptions + 1
    return last_arn, last, resumptions


def _forgotten_input(execution_arn: str, registry: Registry) -> Any:
    """The input of an execution that Step Functions has deleted, from its journal, or None.

    Raises NotYetEffective if the execution has just started: DescribeExecution is eventually consistent.
    """
    entry = registry.journal.request_of(execution_arn)
    if entry is None or entry.wanted is None:
        return None
    if entry.noted > datetime.now(UTC) - JUST_STARTED:
        raise NotYetEffective(_STARTED)
    return entry.wanted


def _never_started(event: ReadExecutionInput, registry: Registry) -> EndedExecution:
    """The facts about a recorded request whose execution does not exist: nothing was changed.

    Raises NotYetEffective if the execution has just started.
    """
    received = registry.requests.received(event.request_item) if event.request_item else None
    if received is None:
        raise Conflict("the execution does not exist, and no request is recorded for it")
    if not received.has_outcome and not registry.requests.abandon(received.ref, event.execution_arn):
        raise NotYetEffective(_STARTED)
    return EndedExecution(
        executionArn=event.execution_arn,
        lastArn=event.execution_arn,
        kind=ONBOARDING_REQUESTED,
        answered=False,
        reported=False,
        unfinished=False,
        atRest=True,
        outcomeRecorded=received.has_outcome,
        accessRecorded=False,
        hasRequest=False,
        requestId=received.ref.request_id,
        contentHash=received.ref.content_hash,
        eventId=received.event_id,
        system=None,
        accessId=None,
        request=None,
        tenant=received.ref.tenant,
        confirms=False,
        staged=False,
        keyArn=None,
        secretArn=None,
        caught=_ended("was never started"),
    )


def _ended(how: str) -> CaughtError:
    return CaughtError(Error=ExecutionEnded.__name__, Cause=json.dumps({"errorMessage": f"the execution {how}"}))
