"""Reports how a request ended: one outcome, recorded once, published at least once."""

from aws_lambda_powertools.metrics import MetricUnit

from latchkey import aws
from latchkey.outcomes import Report, Reported, report_outcome
from latchkey.registry import registry
from latchkey.settings import settings
from latchkey.steps import metrics, step


@step(Report)
def lambda_handler(event: Report) -> Reported:
    """Records the outcome unless the request has one, and publishes the recorded one on the request bus."""
    reported = report_outcome(event, registry(), aws.events(), settings().request_bus)
    metrics.add_metric(name=reported.detail_type.replace(" ", ""), unit=MetricUnit.Count, value=1)
    return reported
