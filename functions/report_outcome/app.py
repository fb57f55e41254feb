"""Reports how a request ended: one outcome, recorded once and published at least once."""

from aws_lambda_powertools.metrics import MetricUnit

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.observability import metrics
from latchkey.onboarding.report_outcome import Report, Reported, report_outcome
from latchkey.registry import registry
from latchkey.settings import settings


@step(Report)
def lambda_handler(event: Report) -> Reported:
    """Records the outcome unless the request has one, unlocks the access, and publishes the recorded outcome on the bus."""
    reported = report_outcome(event, registry(), clients.events(), settings().request_bus)
    metrics.add_metric(name=reported.detail_type.replace(" ", ""), unit=MetricUnit.Count, value=1)
    if reported.crossed_tenants:
        metrics.add_metric(name="TenantRejected", unit=MetricUnit.Count, value=1)
    return reported
