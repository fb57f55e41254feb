"""Checks an offboarding against the account, and begins it if every rule passes."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.offboarding.check_offboarding import CheckOffboardingInput, OffboardingPlan, check_offboarding
from latchkey.registry import registry
from latchkey.settings import settings


@step(CheckOffboardingInput, waits=lambda: registry().requests)
def lambda_handler(event: CheckOffboardingInput) -> OffboardingPlan:
    """Locks the access and applies all rules. A rejected request changes nothing."""
    return check_offboarding(event, settings(), registry(), clients.standard_clients(), clients.stepfunctions())
