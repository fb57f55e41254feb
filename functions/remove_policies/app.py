"""Removes our statements that no other access needs from the policies of key and secret, and deletes the reader role."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.offboarding.remove_policies import OffboardingStep, PoliciesRemoved, remove_policies
from latchkey.registry import registry
from latchkey.settings import settings


@step(OffboardingStep, waits=lambda: registry().requests)
def lambda_handler(event: OffboardingStep) -> PoliciesRemoved:
    """Removes only our own statements, and only what this access alone needs."""
    return remove_policies(event, settings(), registry(), clients.rollback_clients())
