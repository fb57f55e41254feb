"""Reports a clean-up: records the state of the access and tells what changed."""

from aws_lambda_powertools.metrics import MetricUnit

from latchkey.aws import clients
from latchkey.cleanup.report_clean_up import CleanUpReport, Published, report_clean_up
from latchkey.handler import step
from latchkey.observability import metrics
from latchkey.registry import registry
from latchkey.settings import settings


@step(CleanUpReport)
def lambda_handler(event: CleanUpReport) -> Published:
    """Publishes what the clean-up changed on the request bus; the metrics feed the alarms."""
    told = report_clean_up(event, registry(), clients.events(), settings().request_bus)
    metrics.add_metric(name="GrantIrrevocable", unit=MetricUnit.Count, value=told.irrevocable)
    metrics.add_metric(name="AccessRevoked", unit=MetricUnit.Count, value=int("Access Revoked" in told.told))
    metrics.add_metric(name="OwnerRestored", unit=MetricUnit.Count, value=int(told.restored))
    if told.exposure_seconds is not None:
        metrics.add_metric(name="GrantExposure", unit=MetricUnit.Seconds, value=told.exposure_seconds)
    return told
