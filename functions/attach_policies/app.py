"""Attaches what lets the service read: our statements in the key policy and in the secret's resource policy."""

from latchkey import aws
from latchkey.desired import desire
from latchkey.documents import Document
from latchkey.ensure import Ensured, ensure_policies
from latchkey.registry import registry
from latchkey.requests import AnyOnboarding
from latchkey.settings import settings
from latchkey.steps import step


class AttachPoliciesInput(Document):
    """The request, its key and the ARN of its secret."""

    request: AnyOnboarding
    key: Ensured
    secret_arn: str


@step(AttachPoliciesInput)
def lambda_handler(event: AttachPoliciesInput) -> Ensured:
    """Merges our statements into both policies, losing no foreign one, then has an adopted secret under the key."""
    desired = desire(event.request, settings())
    return ensure_policies(desired, event.key, event.secret_arn, aws.kms_once(), aws.secretsmanager_once(), registry())
