"""Plans a request: what it would change, by which calls, and which permissions it lacks. Changes nothing."""

from latchkey.access.tenants import tenants
from latchkey.aws import clients
from latchkey.handler import step
from latchkey.planning.draft import Roles, World
from latchkey.planning.plan_access import AccessPlan, PlanAccessInput, plan_access
from latchkey.registry import registry
from latchkey.registry.planned import planned_registry
from latchkey.settings import settings


@step(PlanAccessInput, waits=lambda: registry().requests)
def lambda_handler(event: PlanAccessInput) -> AccessPlan:
    """Returns the plan; raises InvalidRequest if the request contains the hash of another one."""
    known = settings()
    arns = (known.place.arn("iam", f"role/{name}", region="") for name in known.planned_roles)
    roles = Roles(known.create_secret_role_arn, *arns)
    world = World(known, roles, planned_registry(), clients.standard_clients(), clients.secretsmanager, tenants(known))
    return plan_access(event, world)
