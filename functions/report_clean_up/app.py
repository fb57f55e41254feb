"""Reports a cleanup: records the status of the access, and publishes what changed."""

from aws_lambda_powertools.metrics import MetricUnit

from latchkey.aws import clients
from latchkey.cleanup.report_clean_up import CleanUpReport, Published, report_clean_up
from latchkey.handler import step
from latchkey.observability import emit_current_number, metrics
from latchkey.registry import registry
from latchkey.settings import settings

# The metric that the event about one more of its kind raises.
_RAISED = {"RevokedAccesses": "Access Revoked", "DriftedAccesses": "Drift Detected", "IrrevocableGrants": "Grant Not Revoked"}


@step(CleanUpReport)
def lambda_handler(event: CleanUpReport) -> Published:
    """Publishes the changes on the request bus, and emits the metrics that the alarms use."""
    report = report_clean_up(event, registry(), clients.events(), settings().request_bus)
    metrics.add_metric(name="GrantIrrevocable", unit=MetricUnit.Count, value=report.irrevocable)
    metrics.add_metric(name="AccessRevoked", unit=MetricUnit.Count, value=int("Access Revoked" in report.published))
    metrics.add_metric(name="OwnerRestored", unit=MetricUnit.Count, value=int(report.restored))
    # The alarms are raised at once, and the next sweep emits the exact numbers.
    for name, detail_type in _RAISED.items():
        if detail_type in report.published:
            emit_current_number(name, report.published.count(detail_type))
    if report.exposure_seconds is not None:
        metrics.add_metric(name="GrantExposure", unit=MetricUnit.Seconds, value=report.exposure_seconds)
    return report
