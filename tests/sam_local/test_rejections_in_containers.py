"""Rejected events in containers: functions return the class and message of the error, or a regular response."""

import json

import pytest

from local_aws.tools.outcomes import Outcomes
from tests.sam_local.effects import ANSWERED, RAISED
from tests.sam_local.invoking import Answer, Typed


@pytest.mark.parametrize("function", RAISED)
def test_error_has_its_class_and_message(answers: dict[str, Answer], function: str) -> None:
    error = answers[f"{function}.refused"]
    kind, message = error["errorType"], error["errorMessage"]

    assert (kind, RAISED[function][1] in message) == (RAISED[function][0], True), message


@pytest.mark.parametrize("function", ANSWERED)
def test_missing_resource_has_a_regular_response(answers: dict[str, Answer], function: str) -> None:
    assert ANSWERED[function] in json.dumps(answers[f"{function}.refused"])


def test_request_for_an_unknown_system_is_rejected_on_the_bus(outcomes: Outcomes, answers: dict[str, Answer]) -> None:
    event = outcomes.wait_for(answers["receive_request.refused"]["requestId"], 60)

    assert event["detail-type"] == "Request Rejected"
    assert [error["place"] for error in event["detail"]["errors"]] == ["system"]


def test_sam_succeeds_if_a_function_fails(typed: dict[str, Typed]) -> None:
    assert {line.status for line in typed.values()} == {0}
