"""Records a validated access in the registry."""

from latchkey.handler import step
from latchkey.onboarding.record_access import RecordAccessInput, Recorded, record_access
from latchkey.registry import registry
from latchkey.settings import settings


@step(RecordAccessInput)
def lambda_handler(event: RecordAccessInput) -> Recorded:
    """Writes the access with its status, on the condition that no other request has written it since it was read."""
    return record_access(event, settings(), registry())
