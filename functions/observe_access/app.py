"""Observes an access: reads what is true of it now."""

from latchkey import aws
from latchkey.documents import Document
from latchkey.observing import Observation, observe_state
from latchkey.registry import registry
from latchkey.settings import settings
from latchkey.steps import step


class ObserveAccessInput(Document):
    """The access."""

    access_id: str


@step(ObserveAccessInput)
def lambda_handler(event: ObserveAccessInput) -> Observation:
    """Changes nothing."""
    clients = (aws.kms(), aws.secretsmanager(), aws.iam(), aws.client_of)
    return observe_state(event.access_id, settings(), registry(), *clients)
