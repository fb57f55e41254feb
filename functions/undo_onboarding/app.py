"""Undoes an onboarding that failed: takes back what its request made and nothing else refers to."""

from latchkey.access.desired import desire
from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.undo_onboarding import Undo, Undone
from latchkey.registry import registry
from latchkey.requests.parsing import AnyOnboarding
from latchkey.settings import settings
from latchkey.wire import WireModel


class UndoOnboardingInput(WireModel):
    """The request that failed, if one was understood, and the execution that carried it out."""

    request: AnyOnboarding | None
    execution_arn: str
    confirms: bool = False


@step(UndoOnboardingInput)
def lambda_handler(event: UndoOnboardingInput) -> Undone:
    """Restores the resource, removes the secret, the key and our statements as far as they are this request's alone."""
    if event.request is None:
        return Undone(undone=())
    undo = Undo(settings(), registry(), clients.kms(), clients.secretsmanager(), clients.iam(), clients.client_for)
    return undo(desire(event.request, settings()), event.execution_arn, confirms=event.confirms)
