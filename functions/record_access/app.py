"""Records a validated access in the registry."""

from typing import Literal

from latchkey.desired import desire
from latchkey.documents import Document
from latchkey.outcomes import Resources
from latchkey.registry import registry
from latchkey.requests import AnyOnboarding
from latchkey.settings import settings
from latchkey.steps import step
from latchkey.validation import Recorded, record_access


class RecordAccessInput(Document):
    """The request, what serves it, and the status that it reached."""

    request: AnyOnboarding
    resources: Resources
    status: Literal["active", "handed-off"]


@step(RecordAccessInput)
def lambda_handler(event: RecordAccessInput) -> Recorded:
    """Writes the access with its status, over the version that was read."""
    return record_access(desire(event.request, settings()), event.resources, event.status, registry())
