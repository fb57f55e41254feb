"""Lists the grants of keys and whose they are, for people and for later functions."""

from latchkey.aws import clients
from latchkey.cleanup.list_grants import ListedGrants, list_grants
from latchkey.cleanup.survey import Surveyor
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.settings import settings
from latchkey.wire import WireModel


class ListGrantsInput(WireModel):
    """The keys; if none is named, all on which the registry expects grants."""

    keys: tuple[str, ...]


@step(ListGrantsInput)
def lambda_handler(event: ListGrantsInput) -> ListedGrants:
    """Changes nothing."""
    looking = Surveyor(clients.kms(), clients.secretsmanager(), clients.client_for)
    return list_grants(event.keys or registry().grant_keys(), looking, settings().place)
