"""Sweeps the grants of all keys: finds what no event told, and has it treated."""

from aws_lambda_powertools.metrics import MetricUnit
from pydantic import BaseModel, ConfigDict

from latchkey.aws import clients
from latchkey.cleanup.survey import Surveyor
from latchkey.cleanup.sweep_grants import Sweep, Swept
from latchkey.handler import step
from latchkey.observability import metrics
from latchkey.registry import registry
from latchkey.settings import settings


class SweepGrantsInput(BaseModel):
    """The event of the schedule or of a request; only its id is used."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str


@step(SweepGrantsInput)
def lambda_handler(event: SweepGrantsInput) -> Swept:
    """Starts a clean-up for each access whose grants may be orphaned; takes a turn for that. The metric feeds an alarm."""
    known, looking = settings(), Surveyor(clients.kms(), clients.secretsmanager(), clients.client_for)
    machines = (known.clean_up_state_machine_arn, known.end_request_state_machine_arn)
    sweep = Sweep(known, registry(), looking, clients.stepfunctions(), *machines)
    swept = sweep(event.id)
    if not swept.another_sweeps:
        metrics.add_metric(name="Unreadable", unit=MetricUnit.Count, value=swept.unreadable)
    return swept
