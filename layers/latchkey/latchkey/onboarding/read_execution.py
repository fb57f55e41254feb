"""Reads an ended onboarding execution: its request, how far it came, and whether its outcome was reported."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from latchkey.errors import ExecutionEnded
from latchkey.events.outcomes import CaughtError
from latchkey.onboarding.execution_input import ExecutionInput
from latchkey.registry import Registry
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient

# The error with which the state machine ends after it has reported an outcome. After any other end, no outcome was reported.
REPORTED = "RequestNotCarriedOut"
_ENDED = {"ABORTED": "was aborted", "FAILED": "failed before it reported an outcome", "TIMED_OUT": "timed out"}


class ReadExecutionInput(WireModel):
    """An ended execution of the onboarding state machine."""

    execution_arn: str


class EndedExecution(WireModel):
    """The request of an execution, and the facts that decide how to end it.

    `answered`: nothing is left to do. `unfinished`: an outcome was reported, and the rollback is unfinished. `atRest`: no
    function of the execution can still be running. `outcomeRecorded`: the outcome is recorded, and can be unpublished.
    `keyArn` and `secretArn` are those of the access if this execution recorded it.
    """

    answered: bool
    unfinished: bool
    at_rest: bool
    outcome_recorded: bool
    access_recorded: bool
    has_request: bool
    request_id: str
    content_hash: str
    system: str | None
    access_id: str | None
    request: dict[str, Any] | None
    tenant: str
    confirms: bool
    key_arn: str | None
    secret_arn: str | None
    caught: CaughtError


def read_execution(event: ReadExecutionInput, stepfunctions: SFNClient, registry: Registry) -> EndedExecution:
    """Returns an execution together with what the registry holds about its request.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
    """
    execution_arn = event.execution_arn
    described = stepfunctions.describe_execution(executionArn=execution_arn)
    received = ExecutionInput.model_validate_json(described["input"])
    access = registry.accesses.get(received.access_id) if received.access_id else None
    recorded = access if access and access.request_id == received.request_id else None
    status = described["status"]
    unfinished = bool(received.access_id) and registry.locks.is_undo_unfinished(received.access_id or "", execution_arn)
    cause = json.dumps({"errorMessage": f"the execution {_ENDED.get(status, status)}"})
    return EndedExecution(
        answered=not unfinished and (status not in _ENDED or (status == "FAILED" and described.get("error") == REPORTED)),
        unfinished=unfinished,
        atRest=status == "FAILED",
        outcomeRecorded=registry.requests.has_outcome(received.request_id, received.content_hash),
        accessRecorded=recorded is not None,
        hasRequest=received.request is not None,
        requestId=received.request_id,
        contentHash=received.content_hash,
        system=received.system,
        accessId=received.access_id,
        request=received.request.wire if received.request else None,
        tenant=received.tenant,
        confirms=received.confirms,
        keyArn=recorded.key_arn if recorded else None,
        secretArn=recorded.secret_arn if recorded else None,
        caught=CaughtError(Error=ExecutionEnded.__name__, Cause=cause),
    )
