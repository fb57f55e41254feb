"""Configures the consumer resource to read the secret."""

from latchkey.access.desired import desire
from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.configure_access import configure_access
from latchkey.onboarding.step_result import StepResult
from latchkey.registry import registry
from latchkey.requests.parsing import AnyOnboarding
from latchkey.settings import settings
from latchkey.wire import WireModel


class ConfigureAccessInput(WireModel):
    """The request, its key and the ARN of its secret."""

    request: AnyOnboarding
    key: StepResult
    secret_arn: str


@step(ConfigureAccessInput)
def lambda_handler(event: ConfigureAccessInput) -> StepResult:
    """Creates or updates the resource, keeping its other settings; the service makes its grant with this role's permission."""
    desired = desire(event.request, settings())
    return configure_access(desired, event.key, event.secret_arn, clients.kms(), clients.iam(), clients.client_for, registry())
