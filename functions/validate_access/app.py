"""Validates an access: reads everything it consists of and proves that it works."""

from latchkey.access.desired import desire
from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.validate_access import Validated, validate_access
from latchkey.registry import registry
from latchkey.requests.parsing import AnyOnboarding
from latchkey.settings import settings
from latchkey.wire import WireModel


class ValidateAccessInput(WireModel):
    """The request and the ARNs of its key and secret; `confirms` says that its owner has configured the resource."""

    request: AnyOnboarding
    key_arn: str
    secret_arn: str | None
    confirms: bool = False


@step(ValidateAccessInput)
def lambda_handler(event: ValidateAccessInput) -> Validated:
    """Changes nothing; raises PolicyOverwritten, NotYetEffective or AccessNotEffective with the failed checks."""
    desired = desire(event.request, settings())
    made = (registry(), clients.kms(), clients.secretsmanager(), clients.iam(), clients.client_for)
    return validate_access(desired, event.key_arn, event.secret_arn, *made, confirms=event.confirms)
