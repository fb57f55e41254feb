"""Plans a request, or checks that a request still does what was planned."""

from __future__ import annotations

from typing import Literal

from latchkey.access.desired import Desired, desire
from latchkey.access.plan import Plan, differences, plan_of
from latchkey.errors import InvalidRequest, NotYetEffective, Problem
from latchkey.onboarding.check_request import OnboardingPlan
from latchkey.planning.draft import Draft, World
from latchkey.planning.offboarding import plan_offboarding
from latchkey.planning.onboarding import plan_onboarding
from latchkey.planning.restoration import plan_restoration
from latchkey.planning.rotation import plan_rotation
from latchkey.registry.execution_input import ExecutionInput
from latchkey.requests.lifecycle import OffboardingRequested, RestorationRequested, RotationConfirmed, RotationRequested
from latchkey.rotation.plan import RotationPlan

_MOST_DIFFERENCES = 20


class PlanAccessInput(ExecutionInput):
    """The input of the execution, its ARN, and the result of the function that checked the request.

    `checked` is the one of check_request, and `rotation` the one of check_rotation.
    """

    execution_arn: str
    checked: OnboardingPlan | None = None
    rotation: RotationPlan | None = None


class AccessPlan(Plan):
    """The plan of a request: the members of the outcome `Access Planned`."""

    status: Literal["planned"] = "planned"


def plan_access(event: PlanAccessInput, world: World) -> AccessPlan:
    """Returns the plan of a request that has passed its rules.

    A request with a `planHash` must have that plan. Raises InvalidRequest if it has another one, and NotYetEffective if another
    request began or ended during the plan.
    """
    request, registry = event.request, world.registry
    if request is None:
        raise InvalidRequest(event.problems)
    desired = desire(request, world.settings, event.tenant)
    access_ids = [desired.access_id, *(one.access_id for one in (event.checked.companions if event.checked else ()))]
    holders = [registry.present_holder(one) for one in access_ids]
    draft = _draft(event, desired, world)
    if [registry.present_holder(one) for one in access_ids] != holders:
        raise NotYetEffective("another request for this access began or ended during the plan")
    plan = _plan_of(draft)
    if request.plan_hash is not None and request.plan_hash != plan.plan_hash:
        raise InvalidRequest([Problem("planHash", _out_of_date(request.plan_hash, plan, event.tenant, world))])
    return plan


def _draft(event: PlanAccessInput, desired: Desired, world: World) -> Draft:
    world.registry.hold(desired.access_id)
    if isinstance(event.asked, OffboardingRequested):
        return plan_offboarding(desired, event.asked, world)
    if isinstance(event.asked, RotationRequested | RotationConfirmed) and event.rotation is not None:
        return plan_rotation(desired, event.asked, event.rotation, world)
    if isinstance(event.asked, RestorationRequested):
        return plan_restoration(desired, event.asked, event, world)
    if event.checked is None:
        raise InvalidRequest(event.problems)
    return plan_onboarding(desired, event.checked, world)


def _plan_of(draft: Draft) -> AccessPlan:
    plan = plan_of(draft.content, draft.reads, draft.changes, draft.operations, draft.missing)
    return AccessPlan.model_construct(**{name: getattr(plan, name) for name in Plan.model_fields})


def _out_of_date(plan_hash: str, present: Plan, tenant: str, world: World) -> str:
    """The rule that is broken by a hash other than that of the present plan."""
    found = world.registry.plans.find(tenant, plan_hash)
    if found is None:
        return "is not the hash of a plan of this tenant: set mode to plan, and use the planHash in the outcome"
    planned = Plan.model_validate_json(found.members)
    if planned.content != present.content:
        return f"is the planHash of another request, {found.request_id}: send that request, or plan this one"
    found_differences = differences(planned, present)
    more = [f"and {len(found_differences) - _MOST_DIFFERENCES} more"] if len(found_differences) > _MOST_DIFFERENCES else []
    listed = "; ".join([*found_differences[:_MOST_DIFFERENCES], *more])
    return f"plan is out of date: {listed}. Plan the request again"
