"""Creates or finds the customer managed KMS key of an access."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.create_key import CreateKeyInput, StepResult, create_key
from latchkey.registry import registry
from latchkey.settings import settings


@step(CreateKeyInput, waits=lambda: registry().requests)
def lambda_handler(event: CreateKeyInput) -> StepResult:
    """Returns the key that the alias or ARN identifies, or creates a key with its policy, tags, alias and rotation."""
    return create_key(event, settings(), registry(), clients.kms_without_retries(), clients.iam())
