"""Checks a rotation against the account, and begins it if every rule passes."""

from latchkey.access.tenants import tenants
from latchkey.aws import clients
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.rotation.check_rotation import CheckRotationInput, RotationPlan, check_rotation
from latchkey.settings import settings


@step(CheckRotationInput, waits=lambda: registry().requests)
def lambda_handler(event: CheckRotationInput) -> RotationPlan:
    """Locks the access and applies all rules. A rejected request changes nothing."""
    known, standard = settings(), clients.standard_clients()
    return check_rotation(event, known, registry(), standard, clients.stepfunctions(), clients.secretsmanager, tenants(known))
