"""Takes the inventory of a reconciliation."""

from latchkey.aws.data_bucket import DataBucket
from latchkey.handler import step
from latchkey.reconciliation.take_inventory import InventoryTaken, TakeInventoryInput, take_inventory
from latchkey.registry import registry
from latchkey.settings import settings


@step(TakeInventoryInput)
def lambda_handler(event: TakeInventoryInput) -> InventoryTaken:
    """Claims the request id, and writes the list of accesses that the reconciliation compares with their requests."""
    return take_inventory(event, registry(), DataBucket(settings().data_bucket))
