"""Executions that ended: what was asked in one, how far it came, and whether anybody was told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from latchkey.documents import Document
from latchkey.errors import ExecutionEnded, Problem
from latchkey.outcomes import CaughtError
from latchkey.registry import Registry
from latchkey.requests import AnyOnboarding

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient

# The one error with which the state machine ends after it has reported; any other end has told nobody.
REPORTED = "RequestNotCarriedOut"

_ENDED = {"ABORTED": "was aborted", "FAILED": "failed on the way to its report", "TIMED_OUT": "ran into its time limit"}


class ExecutionInput(Document):
    """The input of an execution of the onboarding state machine. `receive_request` sends every member.

    A request that cannot be parsed has no `request`, only its `problems`. `confirms` is true for a `Handoff Confirmed`. The
    defaults are for executions that an earlier version started: it left out members that were unknown.
    """

    request_id: str
    content_hash: str
    system: str | None = None
    access_id: str | None = None
    request: AnyOnboarding | None = None
    confirms: bool = False
    problems: tuple[Problem, ...] = ()


class EndedExecution(Document):
    """What was asked in an execution, and the facts on which its answer depends.

    `answered`: there is nothing to do. `unfinished`: it was answered, and its undo left something. `atRest`: no function of it
    can still be running. `outcomeRecorded`: the outcome stands, and only telling it may have failed. `keyArn` and `secretArn`
    belong to an access that it recorded as active.
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
    confirms: bool
    key_arn: str | None
    secret_arn: str | None
    caught: CaughtError


def read_execution(execution_arn: str, stepfunctions: SFNClient, registry: Registry) -> EndedExecution:
    """Reads an execution and what the registry knows of its request; changes nothing.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
    """
    told = stepfunctions.describe_execution(executionArn=execution_arn)
    asked = ExecutionInput.model_validate_json(told["input"])
    access = registry.access(asked.access_id) if asked.access_id else None
    recorded = access if access and access.request_id == asked.request_id else None
    status = told["status"]
    unfinished = bool(asked.access_id) and registry.is_unfinished(asked.access_id or "", execution_arn)
    cause = json.dumps({"errorMessage": f"the execution {_ENDED.get(status, status)}"})
    return EndedExecution(
        answered=not unfinished and (status not in _ENDED or (status == "FAILED" and told.get("error") == REPORTED)),
        unfinished=unfinished,
        atRest=status == "FAILED",
        outcomeRecorded=registry.has_outcome(asked.request_id, asked.content_hash),
        accessRecorded=recorded is not None,
        hasRequest=asked.request is not None,
        requestId=asked.request_id,
        contentHash=asked.content_hash,
        system=asked.system,
        accessId=asked.access_id,
        request=asked.request.wire if asked.request else None,
        confirms=asked.confirms,
        keyArn=recorded.key_arn if recorded else None,
        secretArn=recorded.secret_arn if recorded else None,
        caught=CaughtError(Error=ExecutionEnded.__name__, Cause=cause),
    )
