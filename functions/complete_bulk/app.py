"""Completes a bulk request: stores one result for each line of its manifest."""

from latchkey.aws.data_bucket import DataBucket
from latchkey.bulk.complete_bulk import CompleteBulkInput, CompletedBulk, complete_bulk
from latchkey.handler import step
from latchkey.settings import settings


@step(CompleteBulkInput)
def lambda_handler(event: CompleteBulkInput) -> CompletedBulk:
    """Returns the members that only the outcome of a bulk request has."""
    return complete_bulk(event, DataBucket(settings().data_bucket))
