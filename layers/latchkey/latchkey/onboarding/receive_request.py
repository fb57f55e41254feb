"""The gate: turns an event into a clean request and starts its execution, so that nothing unchecked enters a history."""

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

# The request that an access, by its id, last fulfilled.
type RecordedRequest = Callable[[str], OnboardingRequest[Any] | None]


class RequestEvent(BaseModel):
    """An event as EventBridge delivers it; only what is used. The detail is anybody's and not to be trusted."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    detail_type: Annotated[str, Field(alias="detail-type")] = ONBOARDING_REQUESTED
    detail: Any


class Received(WireModel):
    """The execution that carries a request out."""

    request_id: str
    execution_name: str


def execution_input(event: RequestEvent, recorded_request: RecordedRequest) -> dict[str, Any]:
    """The input of the execution: the clean request, or the problems of one that cannot be read without their values.

    A confirmation becomes the request that the access last fulfilled, under the confirmation's own id. What is sent as
    another kind is other content, so that it is answered whatever became of the first.
    """
    detail = event.detail if isinstance(event.detail, Mapping) else {}
    request_id = detail["requestId"] if is_request_id(detail.get("requestId")) else event.id
    try:
        kind = {} if event.detail_type == ONBOARDING_REQUESTED else {"detail-type": event.detail_type}
        known = {"requestId": request_id, "contentHash": _hash({**detail, "requestId": None, **kind})}
    except RecursionError:
        problem = {"place": "detail", "rule": "is nested too deeply"}
        return {"requestId": request_id, "contentHash": _hash(event.id), "problems": [problem]}
    if isinstance(detail.get("system"), str) and detail["system"] in SYSTEMS:
        known["system"] = detail["system"]
    asked = {"requestId": request_id, **event.detail} if isinstance(event.detail, Mapping) else event.detail
    try:
        if event.detail_type not in KINDS:
            raise InvalidRequest([Problem("detail-type", f"must be one of {', '.join(KINDS)}")])
        if event.detail_type == HANDOFF_CONFIRMED:
            return known | _confirmed(parse_confirmation(asked), recorded_request)
        request = parse_onboarding(asked)
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
    """Starts the execution of a request, named by its id and content: a repeat of the same request starts nothing.

    Step Functions keeps a name for 90 days, the registry keeps the outcome.
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    content = execution_input(event, registry.accesses.recorded_request)
    request_id, content_hash = content["requestId"], content["contentHash"]
    name = f"{_hash(request_id)[:32]}-{content_hash[:32]}"
    if not registry.requests.has_outcome(request_id, content_hash):
        # The same request a second time is being carried out, which is all its sender can want.
        with suppress(stepfunctions.exceptions.ExecutionAlreadyExists):
            stepfunctions.start_execution(stateMachineArn=state_machine_arn, name=name, input=json.dumps(content))
    return Received(requestId=request_id, executionName=name)


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
