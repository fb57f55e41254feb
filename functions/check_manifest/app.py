"""Checks a whole manifest before the first of its requests is carried out."""

from latchkey.aws.data_bucket import DataBucket
from latchkey.bulk.check_manifest import CheckManifestInput, check_manifest
from latchkey.bulk.lines import CheckedManifest
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.settings import settings


@step(CheckManifestInput)
def lambda_handler(event: CheckManifestInput) -> CheckedManifest:
    """Stores one execution input for each line; raises InvalidRequest if the manifest is rejected whole."""
    return check_manifest(event, registry(), DataBucket(settings().data_bucket))
