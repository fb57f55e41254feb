"""Reads an execution that ended: what was asked in it, and whether it has been answered."""

from latchkey.aws import clients
from latchkey.handler import step
from latchkey.onboarding.read_execution import EndedExecution, read_execution
from latchkey.registry import registry
from latchkey.wire import WireModel


class ReadExecutionInput(WireModel):
    """The execution, one of the machine that onboards."""

    execution_arn: str


@step(ReadExecutionInput)
def lambda_handler(event: ReadExecutionInput) -> EndedExecution:
    """Changes nothing."""
    return read_execution(event.execution_arn, clients.stepfunctions(), registry())
