"""Creates the secret of an access: the only function that may read or write a token."""

from latchkey.access.desired import desire
from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.create_secret import create_secret
from latchkey.onboarding.secret_values import ValueCheck, check_value
from latchkey.onboarding.step_result import StepResult
from latchkey.requests.parsing import AnyOnboarding
from latchkey.settings import settings
from latchkey.wire import WireModel


class CreateSecretInput(WireModel):
    """The request and its key; before there is a key, the values the request brings are only looked at."""

    request: AnyOnboarding
    key: StepResult | None = None


@step(CreateSecretInput)
def lambda_handler(event: CreateSecretInput) -> StepResult | ValueCheck:
    """Makes the secret under the key, or keeps the one of its name. Answers with an ARN or with problems, never a value."""
    desired = desire(event.request, settings())
    if event.key is None:
        return check_value(desired, clients.secretsmanager)
    return create_secret(desired, event.key, clients.secretsmanager)
