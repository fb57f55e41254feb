"""Receives a request from the bus and starts its execution."""

from latchkey.access.tenants import tenants
from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.receive_request import Received, RequestEvent, machines, receive_request
from latchkey.registry import registry
from latchkey.settings import settings


@step(RequestEvent)
def lambda_handler(event: RequestEvent) -> Received:
    """Starts one execution per request id and content; a request that already has an outcome starts nothing."""
    known = settings()
    machine_of = machines(
        onboard=known.onboard_state_machine_arn,
        offboard=known.offboard_state_machine_arn,
        reconcile=known.reconcile_state_machine_arn,
        rotate=known.rotate_state_machine_arn,
        bulk=known.bulk_state_machine_arn,
        discover=known.discover_state_machine_arn,
    )
    return receive_request(event, registry(), tenants(known), clients.stepfunctions(), machine_of)
