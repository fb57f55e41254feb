"""Takes the inventory of a reconciliation."""

from functools import partial

from latchkey.aws import clients
from latchkey.aws.data_bucket import DataBucket
from latchkey.events.publishing import publish
from latchkey.handler import step
from latchkey.reconciliation.take_inventory import Inventory, InventoryTaken, TakeInventoryInput
from latchkey.registry import registry
from latchkey.settings import settings


@step(TakeInventoryInput)
def lambda_handler(event: TakeInventoryInput) -> InventoryTaken:
    """Claims the request id, and writes the list of accesses that the reconciliation compares with their requests.

    Publishes what has our tag and is not recorded.
    """
    known = settings()
    publish_event = partial(publish, clients.events(), known.request_bus)
    return Inventory(known, registry(), clients.standard_clients(), DataBucket(known.data_bucket), publish_event)(event)
