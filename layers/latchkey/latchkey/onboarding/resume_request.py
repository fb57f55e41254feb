"""Continues a request whose execution ended without an outcome in another execution of the same state machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from latchkey.aws.executions import find_execution, next_execution, start_once
from latchkey.errors import Conflict
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient


class ResumeRequestInput(WireModel):
    """The first execution of the request, which owns the lock and the journal, and its last one, which has ended."""

    execution_arn: str
    last_arn: str


class Resumed(WireModel):
    """The execution that continues the request."""

    execution_arn: str


def resume_request(event: ResumeRequestInput, stepfunctions: SFNClient) -> Resumed:
    """Starts the successor of the last execution with the input of the first one. A second call starts nothing."""
    first = find_execution(stepfunctions, event.execution_arn)
    if first is None:
        raise Conflict("Step Functions has deleted the execution of the request, so it cannot be continued: send a new request")
    content: dict[str, Any] = json.loads(first.input) | {"resumes": event.execution_arn}
    machine, name = next_execution(event.last_arn).rsplit(":", 1)
    start_once(stepfunctions, machine.replace(":execution:", ":stateMachine:"), name, json.dumps(content, sort_keys=True))
    return Resumed(executionArn=next_execution(event.last_arn))
