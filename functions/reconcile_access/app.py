"""Reconciles accesses: observes each one, and records and publishes what is wrong with it."""

from functools import partial
from typing import cast

from latchkey.aws import clients
from latchkey.aws.data_bucket import DataBucket
from latchkey.events.publishing import publish
from latchkey.handler import step
from latchkey.reconciliation.reconcile_access import ReconcileAccessInput, Reconciled, Reconciliation
from latchkey.registry import registry
from latchkey.requests.models import RemediationMode
from latchkey.settings import settings


@step(ReconcileAccessInput)
def lambda_handler(event: ReconcileAccessInput) -> Reconciled:
    """Publishes what changed on the request bus. Returns the accesses that could not be read."""
    known = settings()
    publish_event = partial(publish, clients.events(), known.request_bus)
    mode = cast("RemediationMode", known.remediation_mode)
    bucket = DataBucket(known.data_bucket)
    return Reconciliation(known, registry(), clients.standard_clients(), publish_event, mode, bucket)(event)
