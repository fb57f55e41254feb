"""Validates the event of a request, records the request, and starts its execution.

No unchecked value enters an execution history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from latchkey.access.tenants import Tenants
from latchkey.aws.executions import start_once
from latchkey.errors import InvalidRequest, Problem
from latchkey.onboarding.restored_request import restored_request
from latchkey.registry import Registry
from latchkey.registry.execution_input import ExecutionInput
from latchkey.registry.incoming import NOTHING, RecordedRequest, execution_name, incoming, record_incoming
from latchkey.requests.lifecycle import (
    BULK_ONBOARDING_REQUESTED,
    DISCOVERY_REQUESTED,
    OFFBOARDING_REQUESTED,
    RESTORATION_REQUESTED,
    ROTATION_CONFIRMED,
    ROTATION_REQUESTED,
)
from latchkey.requests.models import (
    HANDOFF_CONFIRMED,
    ONBOARDING_REQUESTED,
    RECONCILIATION_REQUESTED,
    OnboardingRequest,
)
from latchkey.requests.sender import NOT_ALLOWED, SOURCE, Sender, sender_of
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient


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


def machines(*, onboard: str, offboard: str, reconcile: str, rotate: str, bulk: str, discover: str) -> Mapping[str, str]:
    """The ARN of the state machine that carries out each kind of request."""
    return {
        ONBOARDING_REQUESTED: onboard,
        HANDOFF_CONFIRMED: onboard,
        RESTORATION_REQUESTED: onboard,
        OFFBOARDING_REQUESTED: offboard,
        ROTATION_REQUESTED: rotate,
        ROTATION_CONFIRMED: rotate,
        RECONCILIATION_REQUESTED: reconcile,
        BULK_ONBOARDING_REQUESTED: bulk,
        DISCOVERY_REQUESTED: discover,
    }


class Received(WireModel):
    """The execution of a request."""

    request_id: str
    execution_name: str


def execution_input(event: RequestEvent, recorded_request: RecordedRequest) -> ExecutionInput:
    """Returns the input of the execution for an event."""
    return incoming(event.id, sender_of(event.source, event.account), event.detail_type, event.detail, recorded_request)


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
        return Received(requestId=content.request_id, executionName=execution_name(content))
    content = _checked(record_incoming(content, event.id, state_machine_arn, registry), sender, tenants)
    if not registry.requests.has_outcome(content.ref):
        start_once(stepfunctions, state_machine_arn, execution_name(content), content.model_dump_json(by_alias=True))
    return Received(requestId=content.request_id, executionName=execution_name(content))


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
        return content.model_copy(update=NOTHING | {"problems": error.problems})
    return content
