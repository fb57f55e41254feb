"""Receives a request from the bus and starts its execution."""

from latchkey import aws
from latchkey.receiving import Received, RequestEvent, receive_request
from latchkey.registry import registry
from latchkey.settings import settings
from latchkey.steps import step


@step(RequestEvent)
def lambda_handler(event: RequestEvent) -> Received:
    """Starts one execution for each request id and content, unless it has its outcome; nothing else is changed."""
    return receive_request(event, registry(), aws.stepfunctions(), settings().onboard_state_machine_arn)
