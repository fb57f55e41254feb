"""Creates the secret of an access: the only function that may read or write a token."""

from latchkey import aws
from latchkey.desired import desire
from latchkey.documents import Document
from latchkey.ensure import Ensured, ensure_secret
from latchkey.requests import AnyOnboarding
from latchkey.settings import settings
from latchkey.steps import step
from latchkey.tokens import Findings, check_value


class CreateSecretInput(Document):
    """The request and its key; before there is a key, the values the request brings are only looked at."""

    request: AnyOnboarding
    key: Ensured | None = None


@step(CreateSecretInput)
def lambda_handler(event: CreateSecretInput) -> Ensured | Findings:
    """Makes the secret under the key, or keeps the one of its name. Answers with an ARN or with problems, never a value."""
    desired = desire(event.request, settings())
    if event.key is None:
        return check_value(desired, aws.secretsmanager)
    return ensure_secret(desired, event.key, aws.secretsmanager)
