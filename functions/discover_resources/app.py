"""Discovers the resources that use a secret and that Latchkey does not manage."""

from latchkey.access.tenants import tenants
from latchkey.aws.clients import standard_clients
from latchkey.aws.data_bucket import DataBucket
from latchkey.discovery.discover_resources import DiscoverResourcesInput, Discovery, discover_resources
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.settings import settings


@step(DiscoverResourcesInput)
def lambda_handler(event: DiscoverResourcesInput) -> Discovery:
    """Returns where the results are, and what could not be read."""
    known = settings()
    bucket = DataBucket(known.data_bucket)
    return discover_resources(event, known, registry(), standard_clients(), tenants(known), bucket)
