"""Cleans up the grants of one access: looks at them, and a grace period later revokes what is orphaned still."""

from latchkey.aws import clients
from latchkey.cleanup.clean_up_grants import CleanedUp, GrantCleanup, GrantSurvey
from latchkey.cleanup.survey import Surveyor
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.settings import settings
from latchkey.wire import WireModel


class CleanUpGrantsInput(WireModel):
    """The access, and keys beyond those the registry knows; with its first look, what that found orphaned is revoked."""

    access_id: str
    keys: tuple[str, ...] = ()
    first: GrantSurvey | None = None


@step(CleanUpGrantsInput)
def lambda_handler(event: CleanUpGrantsInput) -> GrantSurvey | CleanedUp:
    """Changes nothing at the first look; at the second it revokes what both found orphaned, with the evidence of both."""
    looking = Surveyor(clients.kms(), clients.secretsmanager(), clients.client_for)
    cleaning = GrantCleanup(settings(), registry(), looking)
    if event.first is None:
        return cleaning.look(event.access_id, event.keys)
    return cleaning.clean_up(event.first)
