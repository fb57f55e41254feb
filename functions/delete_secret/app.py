"""Deletes a secret that Latchkey created and that nothing uses any longer, with a recovery window."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.offboarding.delete_secret import OffboardingStep, SecretsDeleted, delete_secret
from latchkey.registry import registry
from latchkey.settings import settings


@step(OffboardingStep, waits=lambda: registry().requests)
def lambda_handler(event: OffboardingStep) -> SecretsDeleted:
    """Reads who uses the secret directly before it deletes the secret. An adopted secret stays."""
    return delete_secret(event, settings(), registry(), clients.rollback_clients())
