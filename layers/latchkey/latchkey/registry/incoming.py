"""From the detail of a request to the input of its execution, and to its record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from latchkey.aws.executions import execution_arn
from latchkey.errors import Conflict, InvalidRequest, Problem
from latchkey.registry.execution_input import ExecutionInput
from latchkey.registry.registry import Registry
from latchkey.requests.lifecycle import (
    ACCESS_REQUESTS,
    ACCOUNT_REQUESTS,
    KINDS,
    RESTORATION_REQUESTED,
    AccessRequest,
    AskedRequest,
    DiscoveryRequested,
    ReconciliationRequested,
)
from latchkey.requests.models import (
    HANDOFF_CONFIRMED,
    NOTHING_HANDED_OFF,
    ONBOARDING_REQUESTED,
    OnboardingRequest,
    is_request_id,
)
from latchkey.requests.parsing import parse_access_request, parse_asked, parse_confirmation, parse_onboarding
from latchkey.requests.sender import Sender
from latchkey.systems import SYSTEMS

# What the input of an execution that only rejects its request does not contain.
NOTHING: dict[str, Any] = {"access_id": None, "request": None, "asked": None, "confirms": False}
# Returns the recorded request of an access, or None: for a confirmation, the one that was last handed off if there is one, for
# a restoration the one with the present key, and otherwise the one that the access fulfills.
type RecordedRequest = Callable[[str], OnboardingRequest[Any] | None]


def incoming(event_id: str, sender: Sender, kind: str, detail: object, recorded_request: RecordedRequest) -> ExecutionInput:
    """Returns the input of the execution: the parsed request, or the problems of a request that cannot be parsed.

    No value of a request that cannot be parsed is part of the input. With a request about a recorded access comes the request
    that the access last fulfilled, under the new request ID. The content hash covers the detail type, so that the same detail
    sent as another kind of request gets its own outcome.
    """
    empty = ExecutionInput(requestId="", contentHash="", eventId=event_id, tenant=sender.tenant, senderAccount=sender.account)
    members: Mapping[str, Any] = detail if isinstance(detail, Mapping) else {}
    request_id = members["requestId"] if is_request_id(members.get("requestId")) else event_id
    try:
        of_kind = {} if kind == ONBOARDING_REQUESTED else {"detail-type": kind}
        content_hash = _hash({**members, "requestId": None, **of_kind})
    except RecursionError:
        problem = Problem("detail", "is nested too deeply: remove levels of nesting")
        return empty.model_copy(update={"request_id": request_id, "content_hash": _hash(event_id), "problems": (problem,)})
    system = members["system"] if isinstance(members.get("system"), str) and members["system"] in SYSTEMS else None
    known = empty.model_copy(update={"request_id": request_id, "content_hash": content_hash, "system": system})
    sent = {"requestId": request_id, **members} if isinstance(detail, Mapping) else detail
    try:
        request, asked = _parsed(kind, sent, recorded_request)
    except InvalidRequest as error:
        return known.model_copy(update={"problems": error.problems})
    about: dict[str, Any] = {"system": request.system, "access_id": request.access_id} if request else {}
    if isinstance(asked, ReconciliationRequested):
        about = _scope(asked)
    if isinstance(asked, DiscoveryRequested):
        about = {"system": asked.system}
    complete = about | {"request": request, "asked": asked}
    return known.model_copy(update=complete | {"confirms": kind == HANDOFF_CONFIRMED, "kind": kind})


def record_incoming(content: ExecutionInput, event_id: str, state_machine_arn: str, registry: Registry) -> ExecutionInput:
    """Records a request before its execution is started, and returns the input of the execution.

    A request whose id was used for different content is rejected under the id of its event, so that the sender of the other one
    never receives this outcome.
    """

    def receive(content: ExecutionInput) -> ExecutionInput:
        arn = execution_arn(state_machine_arn, execution_name(content))
        return content.model_copy(update={"event_id": registry.requests.receive(content.ref, event_id, arn)})

    try:
        return receive(content)
    except Conflict as error:
        registry.requests.note_reuse(content.ref, event_id)
        problems = (*content.problems, Problem("requestId", str(error)))
        return receive(content.model_copy(update=NOTHING | {"request_id": event_id, "problems": problems}))


def execution_name(content: ExecutionInput) -> str:
    """The name of the execution of a request: the same request starts only once."""
    return f"{_hash(content.ref.item_id)[:32]}-{content.content_hash[:32]}"


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


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
