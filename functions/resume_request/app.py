"""Continues a request whose execution ended without an outcome."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.resume_request import Resumed, ResumeRequestInput, resume_request


@step(ResumeRequestInput)
def lambda_handler(event: ResumeRequestInput) -> Resumed:
    """Starts the next execution of the request, once for each execution that ended."""
    return resume_request(event, clients.stepfunctions())
