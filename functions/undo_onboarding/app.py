"""Rolls back a failed onboarding request: removes what it created and nothing else uses."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.undo_onboarding import Undone, UndoOnboardingInput, undo_onboarding
from latchkey.registry import registry
from latchkey.settings import settings


@step(UndoOnboardingInput)
def lambda_handler(event: UndoOnboardingInput) -> Undone:
    """Restores the resource, and removes the role, the secret, the key and the statements that only this request needs."""
    return undo_onboarding(event, settings(), registry(), clients.rollback_clients())
