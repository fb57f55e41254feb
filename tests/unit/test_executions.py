"""An execution starts once for each name."""

from __future__ import annotations

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey.aws.executions import start_once
from tests.unit.samples import PLACE

MACHINE = PLACE.arn("states", "stateMachine:clean-up")


def start(error_code: str | None) -> None:
    stepfunctions = boto3.client("stepfunctions")
    with Stubber(stepfunctions) as stubber:
        if error_code:
            stubber.add_client_error("start_execution", error_code)
        else:
            response = {"executionArn": PLACE.arn("states", "execution:clean-up:one"), "startDate": 0}
            stubber.add_response("start_execution", response, {"stateMachineArn": MACHINE, "name": "one", "input": "{}"})
        start_once(stepfunctions, MACHINE, "one", "{}")
        stubber.assert_no_pending_responses()


@pytest.mark.parametrize("error_code", [None, "ExecutionAlreadyExists"])
def test_an_execution_starts_unless_its_name_exists(error_code: str | None) -> None:
    start(error_code)


def test_other_errors_are_raised() -> None:
    with pytest.raises(ClientError, match="StateMachineDeleting"):
        start("StateMachineDeleting")
