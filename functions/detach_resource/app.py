"""Ends the use of the secret by the consumer resource, and proves that it has ended."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.offboarding.detach_resource import Detached, OffboardingStep, detach_resource
from latchkey.registry import registry
from latchkey.settings import settings


@step(OffboardingStep, waits=lambda: registry().requests)
def lambda_handler(event: OffboardingStep) -> Detached:
    """Restores, detaches or deletes the resource, and keeps what its owner has changed since."""
    return detach_resource(event, settings(), registry(), clients.rollback_clients())
