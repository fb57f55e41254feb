"""Records a validated access in the registry."""

from typing import Literal

from latchkey.access.desired import desire
from latchkey.events.outcomes import Resources
from latchkey.handler import step
from latchkey.onboarding.record_access import Recorded, record_access
from latchkey.registry import registry
from latchkey.requests.parsing import AnyOnboarding
from latchkey.settings import settings
from latchkey.wire import WireModel


class RecordAccessInput(WireModel):
    """The request, what serves it, and the status that it reached."""

    request: AnyOnboarding
    resources: Resources
    status: Literal["active", "handed-off"]


@step(RecordAccessInput)
def lambda_handler(event: RecordAccessInput) -> Recorded:
    """Writes the access with its status, over the version that was read."""
    return record_access(desire(event.request, settings()), event.resources, event.status, registry())
