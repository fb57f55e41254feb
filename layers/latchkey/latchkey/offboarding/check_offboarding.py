"""Checks an offboarding against the account, and starts it if every rule passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latchkey.access.desired import Desired, desire
from latchkey.access.lifecycle import broken_rule
from latchkey.aws.clients import Clients
from latchkey.errors import Conflict, InvalidRequest, Problem
from latchkey.offboarding.read_evidence import read_evidence
from latchkey.offboarding.rules import offboarding_problems, partner_problems
from latchkey.offboarding.step_input import recorded_parts
from latchkey.registry import Registry
from latchkey.registry.access_locks import IsOver
from latchkey.registry.execution_input import ExecutionInput
from latchkey.registry.journal import REQUEST
from latchkey.registry.lock_holder import is_over_by
from latchkey.registry.requests import RequestRef
from latchkey.requests.lifecycle import OFFBOARDING_REQUESTED, OffboardingRequested
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.settings import Settings
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient

CHANGED_SINCE = "was changed by another request after this one was sent: send the request again"


class CheckOffboardingInput(ExecutionInput):
    """The input of an execution, and the ARN of the first execution of its request.

    `followsPlan`: plan_access found that the request does what was planned.
    """

    execution_arn: str
    follows_plan: bool = False


class OffboardingPlan(WireModel):
    """What the state machine branches on. `hasGrants`: the service creates a KMS grant for the resource.

    `toPlan`: the offboarding has not begun, and plan_access runs next. After it, a request that is `planOnly` ends, and any
    other is checked again.
    """

    access_id: str
    key_arn: str
    has_grants: bool
    to_plan: bool = False
    plan_only: bool = False


def check_offboarding(
    event: CheckOffboardingInput, settings: Settings, registry: Registry, clients: Clients, stepfunctions: SFNClient
) -> OffboardingPlan:
    """Claims the request id, locks the access, applies all rules, and begins the phase `offboarding`. A plan only checks.

    Raises InvalidRequest with every problem. If this request has already begun the phase, it can have changed something, and a
    broken rule raises Conflict instead. Raises NotYetEffective while another request holds the lock. A request that has begun
    is not planned again: what it has changed differs from its plan.
    """
    try:
        registry.requests.claim(event.ref, event.execution_arn)
    except Conflict as error:
        raise InvalidRequest({*event.problems, Problem("requestId", str(error))}) from None
    asked = event.asked
    if event.request is None or not isinstance(asked, OffboardingRequested):
        raise InvalidRequest(event.problems)
    desired = desire(event.request, settings, event.tenant)
    access_id = desired.access_id
    _require_tenant(access_id, event.tenant, registry)
    is_over = is_over_by(stepfunctions, registry)
    if desired.request.plans:
        registry.locks.await_free(access_id, is_over, event.ref)
    else:
        _lock(event, access_id, is_over, registry)
    phase = registry.phases.get(access_id)
    if rule := broken_rule(OFFBOARDING_REQUESTED, registry.phases.state(access_id)):
        raise InvalidRequest([Problem("accessId", rule)])
    recorded = registry.accesses.recorded_request(access_id)
    if recorded is None or recorded.content != desired.request.content:
        raise InvalidRequest([Problem("accessId", CHANGED_SINCE)])
    _await_rotations(desired, event.ref, registry, is_over)
    problems = [*partner_problems(desired)]
    if not problems:
        parts = recorded_parts(access_id, settings, registry)
        problems = [*offboarding_problems(desired, asked, read_evidence(parts, asked, registry, clients))]
    has_begun = phase is not None and phase.request_id == event.request_id
    if problems and has_begun:
        raise Conflict("; ".join(f"{problem.path} {problem.rule}" for problem in problems))
    if problems:
        raise InvalidRequest(problems)
    to_plan = desired.request.is_planned and not event.follows_plan and not has_begun
    if not to_plan:
        registry.phases.begin(access_id, "offboarding", event.request_id, {"began": event.request_id})
    return OffboardingPlan(
        accessId=access_id,
        keyArn=parts[0].record.key_arn,
        hasGrants=desired.system.granted is not None,
        toPlan=to_plan,
        planOnly=desired.request.plans,
    )


def _lock(event: CheckOffboardingInput, access_id: str, is_over: IsOver, registry: Registry) -> None:
    """Locks the access and begins the journal of the request."""
    registry.locks.lock(access_id, event.execution_arn, is_over, event.ref)
    _require_tenant(access_id, event.tenant, registry)
    journal = registry.journal_of(event.execution_arn, access_id, event.tenant)
    journal.intend(REQUEST, event.model_dump(mode="json", by_alias=True, include=set(ExecutionInput.model_fields)))


def _await_rotations(desired: Desired, ref: RequestRef, registry: Registry, is_over: IsOver) -> None:
    """Raises NotYetEffective while a new token is about to become current for another access that reads the secret.

    The rotation can send the settings of this resource again. One that waits for its confirmation does not matter.
    """
    if not desired.reads_secret:
        return
    for other in sorted(registry.resources.others(desired.secret_resource, desired.access_id)):
        if registry.phases.state(other) == "rotating":
            registry.locks.await_free(other, is_over, ref)


def _require_tenant(access_id: str, tenant: str, registry: Registry) -> None:
    """Raises InvalidRequest if the access belongs to another tenant. Nothing changes its tenant while it is locked."""
    if registry.accesses.tenant(access_id) not in (None, tenant):
        raise InvalidRequest([Problem("accessId", NOT_ALLOWED)])
