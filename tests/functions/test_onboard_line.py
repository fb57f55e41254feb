"""onboard_line: the request of a line starts once, and has the outcome of its execution."""

import json
from typing import Any

import pytest

from latchkey.errors import NotYetEffective
from latchkey.registry import registry
from latchkey.registry.requests import RequestRef
from tests.functions.account import ACCOUNT, REGION, Account, client
from tests.functions.onboarding_requests import Run, onboarding

HASH = "c" * 64
CONTENT = {"requestId": "request-1", "contentHash": HASH, "eventId": "event-1.7", "request": onboarding()}
LINE = {"line": 7, "content": CONTENT}
REJECTION = {
    "accessId": "mediatailor/sourceLocation/sports-origin",
    "status": "rejected",
    "changed": False,
    "errors": [{"place": "key.alias", "rule": "is reserved"}],
}


@pytest.fixture(autouse=True)
def _machine(account: Account) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/machine"
    client("stepfunctions").create_state_machine(name="onboard-access", definition='{"States": {}}', roleArn=role)


def executions() -> list[dict[str, Any]]:
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:onboard-access"
    stepfunctions = client("stepfunctions")
    listed = stepfunctions.list_executions(stateMachineArn=arn)["executions"]
    return [stepfunctions.describe_execution(executionArn=each["executionArn"]) for each in listed]


def end(detail_type: str = "Request Rejected", **detail: Any) -> None:
    outcome = json.dumps(REJECTION | detail)
    registry().requests.record_outcome(RequestRef("request-1", HASH), "outcome", detail_type, outcome)


def test_the_request_is_recorded_and_started(run: Run) -> None:
    assert run("onboard_line", LINE) == {"result": None}

    [execution] = executions()
    received = registry().requests.received("request-1")
    assert received
    assert received.event_id == "event-1.7"
    assert json.loads(execution["input"])["request"]["resource"] == onboarding()["resource"]


def test_a_second_attempt_starts_nothing(run: Run) -> None:
    run("onboard_line", LINE)
    run("onboard_line", LINE)

    assert len(executions()) == 1


def test_an_outcome_is_the_result_and_starts_nothing(run: Run) -> None:
    end()

    result = run("onboard_line", LINE)["result"]

    assert executions() == []
    assert (result["line"], result["requestId"], result["outcome"]) == (7, "request-1", "Request Rejected")
    assert (result["status"], result["changed"], result["errors"]) == ("rejected", False, REJECTION["errors"])


def test_a_failure_and_a_plan_are_part_of_the_result(run: Run) -> None:
    end("Request Failed", failure={"name": "AccessDenied", "message": "denied"}, planHash="p" * 64)

    result = run("onboard_line", LINE)["result"]

    assert result["failure"] == {"name": "AccessDenied", "message": "denied"}
    assert result["planHash"] == "p" * 64


def test_a_started_request_without_an_outcome_is_waited_for(run: Run) -> None:
    run("onboard_line", LINE)
    with pytest.raises(NotYetEffective):
        run("onboard_line", LINE | {"started": True})
    end()

    assert run("onboard_line", LINE | {"started": True})["result"]


def test_a_request_id_of_other_content_is_rejected_under_the_id_of_the_line(run: Run) -> None:
    registry().requests.receive(RequestRef("request-1", "d" * 64), "event-0", "arn:aws:states:one")

    run("onboard_line", LINE)

    [execution] = executions()
    content = json.loads(execution["input"])
    assert (content["requestId"], content["request"]) == ("event-1.7", None)
    assert [problem["place"] for problem in content["problems"]] == ["requestId"]
