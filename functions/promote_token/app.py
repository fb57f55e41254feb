"""Makes a pending version the current version of its secret."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.rotation.promote_token import Promoted, PromoteTokenInput, promote_token
from latchkey.settings import settings


@step(PromoteTokenInput, waits=lambda: registry().requests)
def lambda_handler(event: PromoteTokenInput) -> Promoted:
    """Moves the label AWSCURRENT, unless somebody else has moved it."""
    return promote_token(event, settings(), registry(), clients.secretsmanager_without_retries())
