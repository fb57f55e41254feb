"""Attaches what lets the service read: our statements in both policies, and the role of a service that assumes one."""

from latchkey.access.desired import desire
from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.attach_policies import attach_policies
from latchkey.onboarding.step_result import StepResult
from latchkey.registry import registry
from latchkey.requests.parsing import AnyOnboarding
from latchkey.settings import settings
from latchkey.wire import WireModel


class AttachPoliciesInput(WireModel):
    """The request, its key and the ARN of its secret, if it has one."""

    request: AnyOnboarding
    key: StepResult
    secret_arn: str | None


@step(AttachPoliciesInput)
def lambda_handler(event: AttachPoliciesInput) -> StepResult:
    """Merges our statements into both policies, losing none of others, has the secret under the key, and makes the role."""
    desired = desire(event.request, settings())
    made = (clients.kms_without_retries(), clients.secretsmanager_without_retries(), clients.iam())
    return attach_policies(desired, event.key, event.secret_arn, *made, registry(), settings())
