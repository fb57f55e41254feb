"""Validates an access: reads everything it consists of and runs every check."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.validate_access import ValidateAccessInput, Validated, validate_access
from latchkey.registry import registry
from latchkey.settings import settings


@step(ValidateAccessInput, waits=lambda: registry().requests)
def lambda_handler(event: ValidateAccessInput) -> Validated:
    """Returns the passed checks; raises PolicyOverwritten, NotYetEffective or AccessNotEffective with the failed ones."""
    return validate_access(event, settings(), registry(), clients.standard_clients())
