"""Lists the grants on keys with the resource that each one serves, and whether it is still needed."""

from latchkey.aws import clients
from latchkey.cleanup.list_grants import ListedGrants, ListGrantsInput, list_grants
from latchkey.cleanup.survey import Surveyor
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.settings import settings


@step(ListGrantsInput)
def lambda_handler(event: ListGrantsInput) -> ListedGrants:
    """Returns the grants on the given keys or, if none are given, on every key that the registry knows."""
    surveyor = Surveyor(clients.kms(), clients.secretsmanager(), clients.client_for)
    return list_grants(event, registry(), surveyor, settings())
