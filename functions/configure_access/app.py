"""Configures the consumer resource of an access to read the secret."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.configure_access import ConfigureAccessInput, StepResult, configure_access
from latchkey.registry import registry
from latchkey.settings import settings


@step(ConfigureAccessInput, waits=lambda: registry().requests)
def lambda_handler(event: ConfigureAccessInput) -> StepResult:
    """Creates or updates the resource and keeps its other settings.

    The media service creates its KMS grant with the permissions of this function's role.
    """
    return configure_access(event, settings(), registry(), clients.standard_clients())
