"""Cleans up the grants of one access: a first survey, and one grace period later the revocation of orphaned grants."""

from latchkey.aws import clients
from latchkey.cleanup.clean_up_grants import CleanedUp, CleanUpGrantsInput, GrantCleanup, GrantSurvey
from latchkey.cleanup.survey import Surveyor
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.settings import settings


@step(CleanUpGrantsInput)
def lambda_handler(event: CleanUpGrantsInput) -> GrantSurvey | CleanedUp:
    """Without a first survey, returns one; with it, revokes the grants that a second survey also finds orphaned."""
    surveyor = Surveyor(clients.kms(), clients.secretsmanager(), clients.client_for)
    cleanup = GrantCleanup(settings(), registry(), surveyor, clients.client_for_without_retries)
    return cleanup.clean_up(event.first) if event.first else cleanup.survey(event.access_id, event.keys)
