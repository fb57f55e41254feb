"""Cleans up the grants of one access: looks at them, and a grace period later revokes what is orphaned still."""

from latchkey import aws
from latchkey.cleaning import CleanedUp, Cleaning, Look
from latchkey.documents import Document
from latchkey.looking import Looking
from latchkey.registry import registry
from latchkey.revocations import revocations
from latchkey.settings import settings
from latchkey.steps import step


class CleanUpGrantsInput(Document):
    """The access, and keys beyond those the registry knows; with its first look, what that found orphaned is revoked."""

    access_id: str
    keys: tuple[str, ...] = ()
    first: Look | None = None


@step(CleanUpGrantsInput)
def lambda_handler(event: CleanUpGrantsInput) -> Look | CleanedUp:
    """Changes nothing at the first look; at the second it revokes what both found orphaned, with the evidence of both."""
    looking = Looking(aws.kms(), aws.secretsmanager(), aws.client_of)
    cleaning = Cleaning(settings(), registry(), revocations(), looking)
    if event.first is None:
        return cleaning.look(event.access_id, event.keys)
    return cleaning.clean_up(event.first)
