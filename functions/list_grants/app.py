"""Lists the grants of keys and whose they are, for people and for later functions."""

from latchkey import aws
from latchkey.documents import Document
from latchkey.looking import Looking
from latchkey.ownership import ListedGrants, list_ownership
from latchkey.registry import registry
from latchkey.settings import settings
from latchkey.steps import step


class ListGrantsInput(Document):
    """The keys; if none is named, all on which the registry expects grants."""

    keys: tuple[str, ...]


@step(ListGrantsInput)
def lambda_handler(event: ListGrantsInput) -> ListedGrants:
    """Changes nothing."""
    looking = Looking(aws.kms(), aws.secretsmanager(), aws.client_of)
    return list_ownership(event.keys or registry().keys(), looking, settings().place)
