"""Step Functions executions that start once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient


def start_once(stepfunctions: SFNClient, state_machine_arn: str, name: str, execution_input: str) -> None:
    """Starts an execution unless one with this name runs or has ended: Step Functions keeps a name for 90 days.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    with suppress(stepfunctions.exceptions.ExecutionAlreadyExists):
        stepfunctions.start_execution(stateMachineArn=state_machine_arn, name=name, input=execution_input)
