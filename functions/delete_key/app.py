"""Schedules the deletion of the key of an offboarded access after its secret no longer exists."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.offboarding.delete_key import DeletedKey, DeleteKeyInput, delete_key
from latchkey.registry import registry
from latchkey.settings import settings


@step(DeleteKeyInput)
def lambda_handler(event: DeleteKeyInput) -> DeletedKey:
    """Reads everything that could use the key directly before it deletes the key."""
    return delete_key(event, settings(), registry(), clients.rollback_clients())
