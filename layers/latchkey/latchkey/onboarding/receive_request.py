"""Validates the event of a request, records the request, and starts its execution.

No unchecked value enters an execution history.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from latchkey.access.tenants import Tenants
from latchkey.aws.executions import execution_arn, start_once
from latchkey.errors import Conflict, InvalidRequest, Problem
from latchkey.onboarding.restored_request import restored_request
from latchkey.registry import Registry
from latchkey.registry.execution_input import ExecutionInput
from latchkey.requests.lifecycle import (
    ACCESS_REQUESTS,
    ACCOUNT_REQUESTS,
    KINDS,
    OFFBOARDING_REQUESTED,
    RESTORATION_REQUESTED,
    ROTATION_CONFIRMED,
    ROTATION_REQUESTED,
    AccessRequest,
    AskedRequest,
    ReconciliationRequested,
)
from latchkey.requests.models import (
    HANDOFF_CONFIRMED,
    NOTHING_HANDED_OFF,
    ONBOARDING_REQUESTED,
    RECONCILIATION_REQUESTED,
    OnboardingRequest,
    is_request_id,
)
from latchkey.requests.parsing import parse_access_request, parse_asked, parse_confirmation, parse_onboarding
from latchkey.requests.sender import NOT_ALLOWED, SOURCE, Sender, sender_of
from latchkey.systems import SYSTEMS
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient

# What the input of an execution that only rejects its request does not contain.
_NOTHING: dict[str, Any] = {"access_id": None, "request": None, "asked": None, "confirms": False}
# Returns the recorded request of an access, or None: for a confirmation, the one that was last handed off if there is one, for
# a restoration the one with the present key, and otherwise the one that the access fulfills.
type RecordedRequest = Callable[[str], OnboardingRequest[Any] | None]


class RequestEvent(BaseModel):
    """An event as EventBridge delivers it, reduced to the members in use. The detail is untrusted input.

    EventBridge sets `source` and `account`; a manual invocation can omit them.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    source: str = SOURCE
    account: str = ""
    detail_type: Annotated[str, Field(alias="detail-type")] = ONBOARDING_REQUESTED
    detail: Any


def machines(*, onboard: str, offboard: str, reconcile: str, rotate: str) -> Mapping[str, str]:
    """The ARN of the state machine that carries out each kind of request."""
    return {
        ONBOARDING_REQUESTED: onboard,
        HANDOFF_CONFIRMED: onboard,
        RESTORATION_REQUESTED: onboard,
        OFFBOARDING_REQUESTED: offboard,
        ROTATION_REQUESTED: rotate,
        ROTATION_CONFIRMED: rotate,
        RECONCILIATION_REQUESTED: reconcile,
    }


class Received(WireModel):
    """The execution of a request."""

    request_id: str
    execution_name: str


def execution_input(event: RequestEvent, recorded_request: RecordedRequest) -> ExecutionInput:
    """Returns the input of the execution: the parsed request, or the problems of a request that cannot be parsed.

    No value of a request that cannot be parsed is part of the input. With a request about a recorded access comes the request
    that the access last fulfilled, under the new request ID. The content hash covers the detail type, so that the same detail
    sent as another kind of request gets its own outcome.
    """
    sender = sender_of(event.source, event.account)
    empty = ExecutionInput(requestId="", contentHash="", eventId=event.id, tenant=sender.tenant, senderAccount=sender.account)
    detail = event.detail if isinstance(event.detail, Mapping) else {}
    request_id = detail["requestId"] if is_request_id(detail.get("requestId")) else event.id
    try:
        kind = {} if event.detail_type == ONBOARDING_REQUESTED else {"detail-type": event.detail_type}
        content_hash = _hash({**detail, "requestId": None, **kind})
    except RecursionError:
        problem = Problem("detail", "is nested too deeply: remove levels of nesting")
        return empty.model_copy(update={"request_id": request_id, "content_hash": _hash(event.id), "problems": (problem,)})
    system = detail["system"] if isinstance(detail.get("system"), str) and detail["system"] in SYSTEMS else None
    known = empty.model_copy(update={"request_id": request_id, "content_hash": content_hash, "system": system})
    sent = {"requestId": request_id, **event.detail} if isinstance(event.detail, Mapping) else event.detail
    try:
        request, asked = _parsed(event.detail_type, sent, recorded_request)
    except InvalidRequest as error:
        return known.model_copy(update={"problems": error.problems})
    about: dict[str, Any] = {"system": request.system, "access_id": request.access_id} if request else {}
    if isinstance(asked, ReconciliationRequested):
        about = _scope(asked)
    complete = about | {"request": request, "asked": asked}
    return known.model_copy(update=complete | {"confirms": event.detail_type == HANDOFF_CONFIRMED, "kind": event.detail_type})


def _scope(asked: ReconciliationRequested) -> dict[str, Any]:
    """The system or the access that a reconciliation is limited to."""
    return {"system": asked.access_id.split("/")[0] if asked.access_id else asked.system, "access_id": asked.access_id}


def _parsed(
    kind: str, sent: object, recorded_request: RecordedRequest
) -> tuple[OnboardingRequest[Any] | None, AskedRequest | None]:
    """The onboarding request of an event, unless it is about no single access, and what a request of another kind asks for."""
    if kind not in KINDS:
        raise InvalidRequest([Problem("detail-type", f"must be one of {', '.join(KINDS)}")])
    if kind == HANDOFF_CONFIRMED:
        return _recorded(parse_confirmation(sent), recorded_request), None
    if kind in ACCESS_REQUESTS:
        asked = parse_access_request(kind, sent)
        return _recorded(asked, recorded_request), asked
    if kind in ACCOUNT_REQUESTS:
        request = parse_asked(kind, sent)
        if isinstance(request, ReconciliationRequested) and request.access_id and recorded_request(request.access_id) is None:
            raise InvalidRequest([Problem("accessId", NOTHING_HANDED_OFF)])
        return None, request
    return parse_onboarding(sent), None


def _recorded(sent: AccessRequest, recorded_request: RecordedRequest) -> OnboardingRequest[Any]:
    """The request that the access last fulfilled, under the ID of the request that names the access."""
    recorded = recorded_request(sent.access_id)
    if recorded is None:
        raise InvalidRequest([Problem("accessId", NOTHING_HANDED_OFF)])
    how = sent.model_dump(include={"mode", "plan_hash"}, exclude_unset=True)
    request = recorded.model_copy(update={"request_id": sent.request_id, **how})
    return _keeping_value(request) if sent.kind == RESTORATION_REQUESTED else request


def _keeping_value(request: OnboardingRequest[Any]) -> OnboardingRequest[Any]:
    """The request with `keepsValue` if it copies a token: a rotation can have replaced it, and the source can be gone."""
    if request.secret.value.copy_from is None:
        return request
    changes: dict[str, Any] = {"secret": request.secret.model_copy(update={"keeps_value": True})}
    # A request cannot set both. The clients of the resource have the value that is kept.
    changes |= {"takes_effect_now": False} if request.takes_effect_now else {}
    return request.model_copy(update=changes)


def receive_request(
    event: RequestEvent, registry: Registry, tenants: Tenants, stepfunctions: SFNClient, machine_of: Mapping[str, str]
) -> Received:
    """Records a request and starts its execution, named after its id and content, so that the same request starts only once.

    `machine_of` is the ARN of the state machine by kind of request. The one of onboardings rejects what cannot be parsed.
    The record comes first: if nothing starts the execution, the sweep ends the request. A request whose id was used for
    different content is rejected under the id of its event, so that the sender of the other one never receives this outcome.
    Step Functions keeps the name of an execution for 90 days; after that, the recorded outcome prevents a second start.
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    sender = sender_of(event.source, event.account)
    content = execution_input(event, _recorded_request(registry, sender.tenant, event.detail_type))
    state_machine_arn = machine_of.get(content.kind, machine_of[ONBOARDING_REQUESTED])
    if registry.requests.has_outcome(content.ref):
        return Received(requestId=content.request_id, executionName=_name(content))
    try:
        first_event_id = registry.requests.receive(content.ref, event.id, execution_arn(state_machine_arn, _name(content)))
    except Conflict as error:
        registry.requests.note_reuse(content.ref, event.id)
        content = _rejected(content, event.id, str(error))
        first_event_id = registry.requests.receive(content.ref, event.id, execution_arn(state_machine_arn, _name(content)))
    content = _checked(content.model_copy(update={"event_id": first_event_id}), sender, tenants)
    if not registry.requests.has_outcome(content.ref):
        start_once(stepfunctions, state_machine_arn, _name(content), content.model_dump_json(by_alias=True))
    return Received(requestId=content.request_id, executionName=_name(content))


def _recorded_request(registry: Registry, tenant: str, kind: str) -> RecordedRequest:
    def request(access_id: str) -> OnboardingRequest[Any] | None:
        if registry.accesses.tenant(access_id) not in (None, tenant):
            raise InvalidRequest([Problem("accessId", NOT_ALLOWED)])
        if kind == RESTORATION_REQUESTED:
            return restored_request(access_id, registry)
        if kind != HANDOFF_CONFIRMED:
            return registry.accesses.recorded_request(access_id)
        found = registry.accesses.to_confirm(access_id)
        return found.request if found else None

    return request


def _checked(content: ExecutionInput, sender: Sender, tenants: Tenants) -> ExecutionInput:
    """The input of the execution; if the sender is not allowed, that is the only problem."""
    try:
        tenants.check_sender(sender)
    except InvalidRequest as error:
        return content.model_copy(update=_NOTHING | {"problems": error.problems})
    return content


def _rejected(content: ExecutionInput, event_id: str, rule: str) -> ExecutionInput:
    """The input of the execution that rejects a request because of its id."""
    problems = (*content.problems, Problem("requestId", rule))
    return content.model_copy(update=_NOTHING | {"request_id": event_id, "problems": problems})


def _name(content: ExecutionInput) -> str:
    return f"{_hash(content.ref.item_id)[:32]}-{content.content_hash[:32]}"


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
