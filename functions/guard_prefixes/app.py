"""Guards the name prefixes of secrets: an update of the stack that takes services their secrets fails."""

from latchkey.aws import clients
from latchkey.deployment.custom_resource import ResourceAnswer, ResourceEvent, answer
from latchkey.deployment.guard_prefixes import guard_prefixes
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.settings import settings


@step(ResourceEvent)
def lambda_handler(event: ResourceEvent) -> ResourceAnswer:
    """Answers CloudFormation for the resource SecretPrefixes."""
    return answer(event, lambda: guard_prefixes(event, registry(), settings(), clients.cloudformation()))
