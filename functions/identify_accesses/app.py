"""Identifies the accesses that CloudTrail events affect, and starts the cleanup of their grants."""

from latchkey.aws import clients
from latchkey.cleanup.identify_accesses import Batch, Identified, identify_accesses
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.settings import settings


@step(Batch)
def lambda_handler(event: Batch) -> Identified:
    """Starts one execution for each event and access. Returns the messages that failed, so that SQS redelivers only those."""
    known = settings()
    machine = known.clean_up_state_machine_arn
    return identify_accesses(event, known.place, known.own_role_arns, registry(), clients.stepfunctions(), machine)
