"""Lets services read a new token that read a secret only when their resource is configured."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.rotation.apply_token import Applied, RotationStep, apply_token
from latchkey.settings import settings


@step(RotationStep, waits=lambda: registry().requests)
def lambda_handler(event: RotationStep) -> Applied:
    """Sends the present settings of the resources again."""
    return apply_token(event, settings(), registry(), clients.standard_clients())
