"""Observes an access: reads what is true of it now, and evaluates its checks and findings."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.observation.observe_access import Observation, ObserveAccessInput, observe_access
from latchkey.registry import registry
from latchkey.settings import settings


@step(ObserveAccessInput)
def lambda_handler(event: ObserveAccessInput) -> Observation:
    """Returns the status of the access and the checks that failed."""
    return observe_access(event, settings(), registry(), clients.standard_clients())
