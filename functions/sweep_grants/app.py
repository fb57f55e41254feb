"""Sweeps the grants on all keys: finds orphaned grants that no event reported, and starts their cleanup."""

from aws_lambda_powertools.metrics import MetricUnit

from latchkey.aws import clients
from latchkey.cleanup.survey import Surveyor
from latchkey.cleanup.sweep_grants import Sweep, SweepGrantsInput, Swept
from latchkey.handler import step
from latchkey.observability import emit_current_number, metrics
from latchkey.registry import registry
from latchkey.settings import settings


@step(SweepGrantsInput)
def lambda_handler(event: SweepGrantsInput) -> Swept:
    """Starts executions for accesses that need a cleanup and for requests without an outcome.

    Emits the current numbers that keep the alarms on.
    """
    known, surveyor = settings(), Surveyor(clients.kms(), clients.secretsmanager(), clients.client_for)
    machines = (
        known.clean_up_state_machine_arn,
        known.end_request_state_machine_arn,
        known.rotate_state_machine_arn,
    )
    swept = Sweep(known, registry(), surveyor, clients.stepfunctions(), *machines)(event)
    if not swept.another_sweeps:
        metrics.add_metric(name="Unreadable", unit=MetricUnit.Count, value=swept.unreadable)
        emit_current_number("RevokedAccesses", swept.revoked)
        emit_current_number("DriftedAccesses", swept.drifted)
        emit_current_number("IrrevocableGrants", swept.irrevocable)
    return swept
