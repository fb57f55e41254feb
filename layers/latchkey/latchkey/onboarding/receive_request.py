"""Validates the event of a request and starts its execution, so that no unchecked value enters an execution history."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from latchkey.errors import InvalidRequest, Problem
from latchkey.registry import Registry
from latchkey.requests.models import (
    HANDOFF_CONFIRMED,
    KINDS,
    NOTHING_HANDED_OFF,
    ONBOARDING_REQUESTED,
    HandoffConfirmed,
    OnboardingRequest,
    is_request_id,
)
from latchkey.requests.parsing import parse_confirmation, parse_onboarding
from latchkey.systems import SYSTEMS
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient

# Returns the request that an access fulfilled last.
type RecordedRequest = Callable[[str], OnboardingRequest[Any] | None]


class RequestEvent(BaseModel):
    """An event as EventBridge delivers it, reduced to the members in use. The detail is untrusted input."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    detail_type: Annotated[str, Field(alias="detail-type")] = ONBOARDING_REQUESTED
    detail: Any


class Received(WireModel):
    """The execution of a request."""

    request_id: str
    execution_name: str


def execution_input(event: RequestEvent, recorded_request: RecordedRequest) -> dict[str, Any]:
    """The input of the execution: the validated request, or the problems of one that is invalid, without any value of it.

    A confirmation becomes the request that the access fulfilled last, under the request id of the confirmation. The detail
    type is part of the content hash, so a confirmation gets an outcome of its own.
    """
    detail = event.detail if isinstance(event.detail, Mapping) else {}
    request_id = detail["requestId"] if is_request_id(detail.get("requestId")) else event.id
    try:
        kind = {} if event.detail_type == ONBOARDING_REQUESTED else {"detail-type": event.detail_type}
        known = {"requestId": request_id, "contentHash": _hash({**detail, "requestId": None, **kind})}
    except RecursionError:
        problem = {"place": "detail", "rule": "is nested too deeply: remove levels of nesting"}
        return {"requestId": request_id, "contentHash": _hash(event.id), "problems": [problem]}
    if isinstance(detail.get("system"), str) and detail["system"] in SYSTEMS:
        known["system"] = detail["system"]
    complete = {"requestId": request_id, **event.detail} if isinstance(event.detail, Mapping) else event.detail
    try:
        if event.detail_type not in KINDS:
            raise InvalidRequest([Problem("detail-type", f"must be one of {', '.join(KINDS)}")])
        if event.detail_type == HANDOFF_CONFIRMED:
            return known | _confirmed(parse_confirmation(complete), recorded_request)
        request = parse_onboarding(complete)
    except InvalidRequest as error:
        return known | {"problems": [asdict(problem) for problem in error.problems]}
    return known | {"accessId": request.access_id, "request": request.wire}


def _confirmed(confirmation: HandoffConfirmed, recorded_request: RecordedRequest) -> dict[str, Any]:
    recorded = recorded_request(confirmation.access_id)
    if recorded is None:
        raise InvalidRequest([Problem("accessId", NOTHING_HANDED_OFF)])
    request = recorded.wire | {"requestId": confirmation.request_id}
    return {"accessId": confirmation.access_id, "system": recorded.system, "request": request, "confirms": True}


def receive_request(event: RequestEvent, registry: Registry, stepfunctions: SFNClient, state_machine_arn: str) -> Received:
    """Starts the execution of a request, named by its id and content, so that the same request starts only once.

    Step Functions keeps the name of an execution for 90 days; after that, the outcome in the registry prevents a second start.
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    content = execution_input(event, registry.accesses.recorded_request)
    request_id, content_hash = content["requestId"], content["contentHash"]
    name = f"{_hash(request_id)[:32]}-{content_hash[:32]}"
    if not registry.requests.has_outcome(request_id, content_hash):
        # A duplicate of a request that is running needs nothing more.
        with suppress(stepfunctions.exceptions.ExecutionAlreadyExists):
            stepfunctions.start_execution(stateMachineArn=state_machine_arn, name=name, input=json.dumps(content))
    return Received(requestId=request_id, executionName=name)


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
