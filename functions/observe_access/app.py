"""Observes an access: reads what is true of it now."""

from latchkey.aws import clients
from latchkey.cleanup.observe_access import Observation, observe_access
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.settings import settings
from latchkey.wire import WireModel


class ObserveAccessInput(WireModel):
    """The access."""

    access_id: str


@step(ObserveAccessInput)
def lambda_handler(event: ObserveAccessInput) -> Observation:
    """Changes nothing."""
    made = (clients.kms(), clients.secretsmanager(), clients.iam(), clients.client_for)
    return observe_access(event.access_id, settings(), registry(), *made)
