"""Records the result of an offboarding, or what a failed one has left."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.offboarding.record_offboarding import OffboardingRecorded, RecordOffboardingInput, record_offboarding
from latchkey.registry import registry
from latchkey.settings import settings


@step(RecordOffboardingInput)
def lambda_handler(event: RecordOffboardingInput) -> OffboardingRecorded:
    """Returns the members of the outcome: what was removed, what is left, and what is scheduled."""
    return record_offboarding(event, settings(), registry(), clients.standard_clients())
