"""Creates or finds the secret of an access. This is the only function that can read or write a token."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.create_secret import CreateSecretInput, StepResult, ValueCheck, create_secret
from latchkey.registry import registry
from latchkey.settings import settings


@step(CreateSecretInput, waits=lambda: registry().requests)
def lambda_handler(event: CreateSecretInput) -> StepResult | ValueCheck:
    """Ensures the secret under the key; without a key in the input, only checks the format of existing values.

    The result contains an ARN or problems, never a value.
    """
    return create_secret(event, settings(), registry(), clients.secretsmanager)
