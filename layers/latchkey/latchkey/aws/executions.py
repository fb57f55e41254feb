"""Step Functions executions that start once."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient


@dataclass(frozen=True)
class Execution:
    """The input of an execution, its status, and the error with which it failed, if it did."""

    input: str
    status: str
    error: str | None

    @property
    def is_over(self) -> bool:
        """Whether the execution has ended. A function that it invoked can run on until its own timeout."""
        return self.status not in ("RUNNING", "PENDING_REDRIVE")


def execution_arn(state_machine_arn: str, name: str) -> str:
    """The ARN of an execution of a standard state machine.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html
    """
    return f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"


def next_execution(execution_arn: str) -> str:
    """The ARN of the execution that continues an ended one. Each execution has exactly one successor."""
    beginning = execution_arn.rsplit(":", 1)[0]
    return f"{beginning}:{hashlib.sha256(execution_arn.encode()).hexdigest()[:64]}"


def find_execution(stepfunctions: SFNClient, arn: str) -> Execution | None:
    """An execution, or None if it was never started or ended so long ago that Step Functions deleted it (90 days).

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
    """
    try:
        described = stepfunctions.describe_execution(executionArn=arn)
    except stepfunctions.exceptions.ExecutionDoesNotExist:
        return None
    return Execution(described["input"], described["status"], described.get("error"))


def start_once(stepfunctions: SFNClient, state_machine_arn: str, name: str, execution_input: str) -> None:
    """Starts an execution unless one with this name runs or has ended: Step Functions keeps a name for 90 days.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    with suppress(stepfunctions.exceptions.ExecutionAlreadyExists):
        stepfunctions.start_execution(stateMachineArn=state_machine_arn, name=name, input=execution_input)
