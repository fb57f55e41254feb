"""Attaches the policies of an access: key policy, resource policy of the secret, and reader role."""

from latchkey.access.tenants import tenants
from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.attach_policies import AttachPoliciesInput, StepResult, attach_policies
from latchkey.registry import registry
from latchkey.settings import settings


@step(AttachPoliciesInput, waits=lambda: registry().requests)
def lambda_handler(event: AttachPoliciesInput) -> StepResult:
    """Merges Latchkey's statements into both policies and keeps all others, moves the secret to the key, ensures the role."""
    return attach_policies(event, settings(), registry(), clients.clients_without_retries(), tenants(settings()))
