"""Cancels the deletion of the secret of an offboarded access."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.restore_access import Restored, StepInput, restore_access
from latchkey.registry import registry
from latchkey.settings import settings


@step(StepInput, waits=lambda: registry().requests)
def lambda_handler(event: StepInput) -> Restored:
    """Restores the secret, so that the steps of an onboarding find it."""
    return restore_access(event, settings(), registry(), clients.secretsmanager())
