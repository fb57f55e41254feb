"""receive_request: one execution for each request id and content, and no unchecked value in its input."""

import json
import re
from typing import Any

import pytest

from latchkey.errors import LatchkeyError
from latchkey.requests.lifecycle import KINDS, REPAIR_DUE
from latchkey.requests.parsing import parse_onboarding
from tests.functions.account import ACCOUNT, REGION, Account
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import EXECUTION, Run, onboarding
from tests.functions.state_machine import StateMachine

EVENT_ID = "7bf73129-1428-4cd3-a780-95db273d1602"


@pytest.fixture
def machine(account: Account) -> StateMachine:
    return StateMachine("onboard-access")


def event(detail: Any, event_id: str = EVENT_ID, detail_type: str = "Onboarding Requested") -> dict[str, Any]:
    """An event as EventBridge delivers it."""
    return {
        "version": "0",
        "id": event_id,
        "detail-type": detail_type,
        "source": "latchkey.requests",
        "account": ACCOUNT,
        "time": "2026-11-22T08:00:00Z",
        "region": REGION,
        "resources": [],
        "detail": detail,
    }


def test_the_execution_is_named_after_its_request_and_contains_it(run: Run, machine: StateMachine) -> None:
    received = run("receive_request", event(onboarding()))

    [(name, content)] = machine().items()
    assert received == {"requestId": "request-1", "executionName": name}
    assert re.fullmatch(r"[0-9a-f]{32}-[0-9a-f]{32}", name)
    assert set(content) == {
        "requestId",
        "contentHash",
        "system",
        "accessId",
        "request",
        "tenant",
        "eventId",
        "senderAccount",
        "confirms",
        "problems",
        "kind",
        "asked",
        "resumes",
        "repair",
    }
    assert (content["confirms"], content["problems"]) == (False, [])
    assert parse_onboarding(content["request"]) == parse_onboarding(onboarding())


def test_a_repeated_request_starts_nothing(run: Run, machine: StateMachine) -> None:
    first = run("receive_request", event(onboarding()))
    before = machine()

    assert run("receive_request", event(onboarding(), event_id="4f2d7c3e-0000-4cd3-a780-95db273d1602")) == first
    assert machine() == before


def test_a_repeated_request_with_reordered_members_starts_nothing(run: Run, machine: StateMachine) -> None:
    first = run("receive_request", event(onboarding(tags={"a": "1", "b": "2"})))
    again = dict(reversed(onboarding(tags={"b": "2", "a": "1"}).items()))

    assert run("receive_request", event(again)) == first
    assert list(machine()) == [first["executionName"]]


def test_a_repeated_request_whose_execution_expired_starts_nothing(run: Run, machine: StateMachine, account: Account) -> None:
    account.open_bus()
    first = run("receive_request", event(onboarding()))
    [content] = machine().values()
    ended = {"detailType": "Request Rejected", "requestId": "request-1", "contentHash": content["contentHash"]}
    run("report_outcome", ended | {"executionArn": EXECUTION, "caught": {"Error": "InvalidRequest"}})
    machine.forget()

    assert run("receive_request", event(onboarding())) == first
    assert machine() == {}


OTHER_EVENT_ID = "4f2d7c3e-0000-4cd3-a780-95db273d1602"


def test_the_same_id_with_other_content_is_rejected_under_the_id_of_its_event(
    run: Run, machine: StateMachine, account: Account
) -> None:
    first = run("receive_request", event(onboarding()))
    second = run("receive_request", event(onboarding(tags={"team": "sports"}), event_id=OTHER_EVENT_ID))

    assert (first["requestId"], second["requestId"]) == ("request-1", OTHER_EVENT_ID)
    contents = machine()
    assert set(contents) == {first["executionName"], second["executionName"]}
    assert [problem["place"] for problem in contents[second["executionName"]]["problems"]] == ["requestId"]
    assert contents[second["executionName"]]["request"] is None
    assert {item["id"]["S"] for item in account.items("request")} == {"request-1", OTHER_EVENT_ID}
    assert run("receive_request", event(onboarding(tags={"team": "sports"}), event_id=OTHER_EVENT_ID)) == second


@pytest.mark.parametrize("crashed", [False, True])
def test_a_request_is_recorded_before_its_execution_starts(
    run: Run, machine: StateMachine, account: Account, crashed: bool
) -> None:
    if crashed:
        at_call("stepfunctions", "StartExecution", answer_with_error("StartExecution", "ServiceUnavailable", 503))
        with pytest.raises(LatchkeyError):
            run("receive_request", event(onboarding()))
        assert machine() == {}
    else:
        run("receive_request", event(onboarding()))

    [recorded] = account.items("request")
    assert (recorded["id"]["S"], recorded["eventId"]["S"], recorded["tenant"]["S"]) == ("request-1", EVENT_ID, "default")
    name = run("receive_request", event(onboarding()))["executionName"]
    assert recorded["executionArn"]["S"] == f"arn:aws:states:{REGION}:{ACCOUNT}:execution:onboard-access:{name}"
    assert list(machine()) == [name]


def test_a_request_without_an_id_gets_the_id_of_its_event(run: Run, machine: StateMachine) -> None:
    detail = {name: value for name, value in onboarding().items() if name != "requestId"}

    assert run("receive_request", event(detail))["requestId"] == EVENT_ID
    assert next(iter(machine().values()))["request"]["requestId"] == EVENT_ID


@pytest.mark.parametrize("request_id", [5, "", "with space", "x" * 129, None], ids=["5", "empty", "space", "long", "null"])
def test_an_invalid_request_id_is_reported_under_the_id_of_the_event(run: Run, machine: StateMachine, request_id: Any) -> None:
    assert run("receive_request", event(onboarding(requestId=request_id)))["requestId"] == EVENT_ID

    [content] = machine().values()
    assert [problem["place"] for problem in content["problems"]] == ["requestId"]


def test_only_the_problems_of_an_invalid_request_enter_the_history(run: Run, machine: StateMachine) -> None:
    run("receive_request", event(onboarding(secret={"value": "canary-token"}, resource={"header": "canary\nheader"})))

    [content] = machine().values()
    assert "canary" not in json.dumps(content)
    assert (content["system"], content["accessId"], content["request"]) == ("mediatailor", None, None)
    assert {problem["place"] for problem in content["problems"]} == {"secret.value", "resource.header"}


@pytest.mark.parametrize("detail", [{}, [], "canary", None, 5])
def test_a_detail_that_is_not_a_request_is_rejected(run: Run, machine: StateMachine, detail: Any) -> None:
    run("receive_request", event(detail))

    [content] = machine().values()
    assert content["requestId"] == EVENT_ID
    assert content["problems"]


@pytest.mark.parametrize("system", ["unknown", "canary token", 5, None])
def test_an_unknown_system_is_not_part_of_the_input(run: Run, machine: StateMachine, system: Any) -> None:
    run("receive_request", event(onboarding() | {"system": system}))

    [content] = machine().values()
    assert content["system"] is None
    assert "system" in {problem["place"] for problem in content["problems"]}


def test_a_missing_state_machine_is_an_error(run: Run) -> None:
    with pytest.raises(LatchkeyError, match="StartExecution failed with StateMachineDoesNotExist"):
        run("receive_request", event(onboarding()))


@pytest.mark.parametrize(
    "detail_type", ["Onboarding Request", "onboarding requested", "Bulk Offboarding Requested", REPAIR_DUE, ""]
)
def test_an_unknown_detail_type_is_rejected(run: Run, machine: StateMachine, detail_type: str) -> None:
    run("receive_request", event(onboarding(), detail_type=detail_type))

    [content] = machine().values()
    rule = f"must be one of {', '.join(KINDS)}"
    assert content["problems"] == [{"place": "detail-type", "rule": rule}]
    assert content["request"] is None


def test_the_same_detail_under_another_detail_type_starts_another_execution(run: Run, machine: StateMachine) -> None:
    first = run("receive_request", event(onboarding(), detail_type="Onboarding Request"))
    second = run("receive_request", event(onboarding(), event_id=OTHER_EVENT_ID))

    assert first["executionName"] != second["executionName"]
    assert set(machine()) == {first["executionName"], second["executionName"]}


def test_a_request_is_recorded_before_its_sender_is_checked(run: Run, account: Account, machine: StateMachine) -> None:
    """If the document of the tenant cannot be read, the sweep ends the request."""
    at_call("ssm", "GetParameter", answer_with_error("GetParameter"))

    with pytest.raises(LatchkeyError):
        run("receive_request", event(onboarding()))

    [recorded] = account.items("request")
    assert recorded["id"]["S"] == "request-1"
    assert machine() == {}
    run("receive_request", event(onboarding()))
    assert len(machine()) == 1
