"""Reports a cleanup: records the status of the access, and publishes what changed."""

from aws_lambda_powertools.metrics import MetricUnit

from latchkey.aws import clients
from latchkey.cleanup.report_clean_up import CleanUpReport, Published, report_clean_up
from latchkey.handler import step
from latchkey.observability import metrics
from latchkey.registry import registry
from latchkey.settings import settings


@step(CleanUpReport)
def lambda_handler(event: CleanUpReport) -> Published:
    """Publishes the changes on the request bus, and emits the metrics that the alarms use."""
    report = report_clean_up(event, registry(), clients.events(), settings().request_bus)
    metrics.add_metric(name="GrantIrrevocable", unit=MetricUnit.Count, value=report.irrevocable)
    metrics.add_metric(name="AccessRevoked", unit=MetricUnit.Count, value=int("Access Revoked" in report.published))
    metrics.add_metric(name="OwnerRestored", unit=MetricUnit.Count, value=int(report.restored))
    if report.exposure_seconds is not None:
        metrics.add_metric(name="GrantExposure", unit=MetricUnit.Seconds, value=report.exposure_seconds)
    return report
