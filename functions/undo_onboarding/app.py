"""Undoes an onboarding that failed: takes back what its request made and nothing else refers to."""

from latchkey import aws
from latchkey.desired import desire
from latchkey.documents import Document
from latchkey.registry import registry
from latchkey.requests import AnyOnboarding
from latchkey.settings import settings
from latchkey.steps import step
from latchkey.undo import Undo, Undone


class UndoOnboardingInput(Document):
    """The request that failed, if one was understood, and the execution that carried it out."""

    request: AnyOnboarding | None
    execution_arn: str
    confirms: bool = False


@step(UndoOnboardingInput)
def lambda_handler(event: UndoOnboardingInput) -> Undone:
    """Restores the resource, removes the secret, the key and our statements as far as they are this request's alone."""
    if event.request is None:
        return Undone(undone=())
    undo = Undo(settings(), registry(), aws.kms(), aws.secretsmanager(), aws.iam(), aws.client_of)
    return undo(desire(event.request, settings()), event.execution_arn, confirms=event.confirms)
