"""Withdraws a pending version, so that it can no longer become the current one."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.rotation.withdraw_token import RotationStep, Withdrawn, withdraw_token
from latchkey.settings import settings


@step(RotationStep, waits=lambda: registry().requests)
def lambda_handler(event: RotationStep) -> Withdrawn:
    """Removes the label AWSPENDING, and changes nothing else."""
    return withdraw_token(event, settings(), registry(), clients.secretsmanager_without_retries())
