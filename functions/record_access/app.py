"""Records a validated access in the registry."""

from latchkey.desired import desire
from latchkey.documents import Document
from latchkey.registry import registry
from latchkey.requests import AnyOnboarding
from latchkey.settings import settings
from latchkey.steps import step
from latchkey.validation import Recorded, record_access


class RecordAccessInput(Document):
    """The request and the ARNs of its key and secret."""

    request: AnyOnboarding
    key_arn: str
    secret_arn: str


@step(RecordAccessInput)
def lambda_handler(event: RecordAccessInput) -> Recorded:
    """Writes the access as active, over the version that was read."""
    return record_access(desire(event.request, settings()), event.key_arn, event.secret_arn, registry())
