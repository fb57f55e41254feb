"""Reads an execution that ended: what was asked in it, and whether it has been answered."""

from latchkey import aws
from latchkey.documents import Document
from latchkey.executions import EndedExecution, read_execution
from latchkey.registry import registry
from latchkey.steps import step


class ReadExecutionInput(Document):
    """The execution, one of the machine that onboards."""

    execution_arn: str


@step(ReadExecutionInput)
def lambda_handler(event: ReadExecutionInput) -> EndedExecution:
    """Changes nothing."""
    return read_execution(event.execution_arn, aws.stepfunctions(), registry())
