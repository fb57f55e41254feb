"""Creates the customer managed key of an access, or finds it."""

from latchkey.access.desired import desire
from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.create_key import create_key
from latchkey.onboarding.step_result import StepResult
from latchkey.registry import registry
from latchkey.requests.parsing import AnyOnboarding
from latchkey.settings import settings
from latchkey.wire import WireModel


class CreateKeyInput(WireModel):
    """The request, checked."""

    request: AnyOnboarding


@step(CreateKeyInput)
def lambda_handler(event: CreateKeyInput) -> StepResult:
    """Makes a rotating symmetric key with its policy, tags and alias, unless the alias or ARN names one."""
    return create_key(desire(event.request, settings()), clients.kms_without_retries(), registry())
