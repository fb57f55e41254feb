"""Validates an access: reads everything it consists of and proves that it works."""

from latchkey import aws
from latchkey.desired import desire
from latchkey.documents import Document
from latchkey.registry import registry
from latchkey.requests import AnyOnboarding
from latchkey.settings import settings
from latchkey.steps import step
from latchkey.validation import Validated, validate_access


class ValidateAccessInput(Document):
    """The request and the ARNs of its key and secret; `confirms` says that its owner has configured the resource."""

    request: AnyOnboarding
    key_arn: str
    secret_arn: str | None
    confirms: bool = False


@step(ValidateAccessInput)
def lambda_handler(event: ValidateAccessInput) -> Validated:
    """Changes nothing; raises PolicyOverwritten, NotYetEffective or AccessNotEffective with the failed checks."""
    desired = desire(event.request, settings())
    clients = (registry(), aws.kms(), aws.secretsmanager(), aws.iam(), aws.client_of)
    return validate_access(desired, event.key_arn, event.secret_arn, *clients, confirms=event.confirms)
