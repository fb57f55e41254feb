"""Creates the customer managed key of an access, or finds it."""

from latchkey import aws
from latchkey.desired import desire
from latchkey.documents import Document
from latchkey.ensure import Ensured, ensure_key
from latchkey.registry import registry
from latchkey.requests import AnyOnboarding
from latchkey.settings import settings
from latchkey.steps import step


class CreateKeyInput(Document):
    """The request, checked."""

    request: AnyOnboarding


@step(CreateKeyInput)
def lambda_handler(event: CreateKeyInput) -> Ensured:
    """Makes a rotating symmetric key with its policy, tags and alias, unless the alias or ARN names one."""
    return ensure_key(desire(event.request, settings()), aws.kms_once(), registry())
