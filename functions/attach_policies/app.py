"""Attaches what lets the service read: our statements in both policies, and the role of a service that assumes one."""

from latchkey import aws
from latchkey.desired import desire
from latchkey.documents import Document
from latchkey.ensure import Ensured, ensure_policies
from latchkey.registry import registry
from latchkey.requests import AnyOnboarding
from latchkey.settings import settings
from latchkey.steps import step


class AttachPoliciesInput(Document):
    """The request, its key and the ARN of its secret, if it has one."""

    request: AnyOnboarding
    key: Ensured
    secret_arn: str | None


@step(AttachPoliciesInput)
def lambda_handler(event: AttachPoliciesInput) -> Ensured:
    """Merges our statements into both policies, losing none of others, has the secret under the key, and makes the role."""
    desired = desire(event.request, settings())
    clients = (aws.kms_once(), aws.secretsmanager_once(), aws.iam())
    return ensure_policies(desired, event.key, event.secret_arn, *clients, registry(), settings())
