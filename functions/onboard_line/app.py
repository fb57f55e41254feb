"""Onboards one line of a manifest: starts its request, and returns its result after its execution."""

from latchkey.aws import clients
from latchkey.bulk.onboard_line import OnboardedLine, OnboardLineInput, onboard_line
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.settings import settings


@step(OnboardLineInput)
def lambda_handler(event: OnboardLineInput) -> OnboardedLine:
    """Receives the request of a line as receive_request does; raises NotYetEffective while its outcome is missing."""
    known = settings()
    return onboard_line(event, registry(), clients.stepfunctions(), known.onboard_state_machine_arn, known.raised_quotas)
