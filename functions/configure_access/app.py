"""Configures the consumer resource to read the secret."""

from latchkey import aws
from latchkey.desired import desire
from latchkey.documents import Document
from latchkey.ensure import Ensured, ensure_configured
from latchkey.registry import registry
from latchkey.requests import AnyOnboarding
from latchkey.settings import settings
from latchkey.steps import step


class ConfigureAccessInput(Document):
    """The request, its key and the ARN of its secret."""

    request: AnyOnboarding
    key: Ensured
    secret_arn: str


@step(ConfigureAccessInput)
def lambda_handler(event: ConfigureAccessInput) -> Ensured:
    """Creates or updates the resource, keeping its other settings; the service makes its grant with this role's permission."""
    desired = desire(event.request, settings())
    return ensure_configured(desired, event.key, event.secret_arn, aws.kms(), aws.iam(), aws.client_of, registry())
