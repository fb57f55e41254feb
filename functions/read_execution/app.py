"""Reads an ended onboarding execution: its request, and whether its outcome was reported."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.read_execution import EndedExecution, ReadExecutionInput, read_execution
from latchkey.registry import registry


@step(ReadExecutionInput)
def lambda_handler(event: ReadExecutionInput) -> EndedExecution:
    """Returns the facts by which the end-request state machine finishes a request whose execution did not report an outcome."""
    return read_execution(event, clients.stepfunctions(), registry())
