"""Records how far a rotation came."""

from latchkey.handler import step
from latchkey.registry import registry
from latchkey.rotation.record_rotation import RecordRotationInput, RotationRecorded, record_rotation
from latchkey.settings import settings


@step(RecordRotationInput)
def lambda_handler(event: RecordRotationInput) -> RotationRecorded:
    """Ends the phase of the access, or records that it waits for a confirmation."""
    return record_rotation(event, settings(), registry())
