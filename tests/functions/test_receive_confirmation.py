"""receive_request: a confirmation becomes the request that its access fulfilled last, under its own request id."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.requests.parsing import parse_onboarding
from tests.functions.account import Account
from tests.functions.onboarding_requests import PARTNER, Run, onboarding
from tests.functions.onboarding_steps import Onboarding
from tests.functions.state_machine import StateMachine

EVENT_ID = "7bf73129-1428-4cd3-a780-95db273d1602"
ACCESS = "mediapackage/originEndpoint/live-hls"
SYSTEMS = ["mediatailor", "mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect", "adobe-experience-platform"]


@pytest.fixture(autouse=True)
def allowed(stack: Callable[..., None]) -> None:
    stack(ALLOWED_PARTNER_ACCOUNTS=PARTNER, ALLOWED_ORIGIN_HOSTS="*")


@pytest.fixture
def machine(account: Account) -> StateMachine:
    return StateMachine("onboard-access")


def confirmation(detail: Any) -> dict[str, Any]:
    return {"id": EVENT_ID, "detail-type": "Handoff Confirmed", "source": "latchkey.requests", "detail": detail}


def handed_off(run: Run, account: Account, system: str, **members: Any) -> Onboarding:
    return Onboarding(run, account, system=system, resource={"configure": False}, **members).run_through("record_access")


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_confirmation_starts_one_execution_of_the_recorded_request(
    run: Run, account: Account, machine: StateMachine, system: str
) -> None:
    access = handed_off(run, account, system, tags={"team": "sports"})
    event = confirmation({"accessId": access.checked["accessId"]})
    received = run("receive_request", event)
    before = account.snapshot()

    [(name, content)] = machine().items()
    assert received == {"requestId": EVENT_ID, "executionName": name}
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
    assert (content["system"], content["accessId"], content["confirms"]) == (system, access.checked["accessId"], True)
    assert parse_onboarding(content["request"]) == parse_onboarding(access.request | {"requestId": EVENT_ID})
    assert run("receive_request", event) == received
    assert len(machine()) == 1
    assert account.snapshot() == before


def test_the_execution_input_of_a_confirmation_is_accepted_by_check_request(
    run: Run, account: Account, machine: StateMachine
) -> None:
    access = handed_off(run, account, "mediapackage")
    run("receive_request", confirmation({"accessId": ACCESS, "requestId": "request-2"}))
    [content] = machine().values()

    [claimed] = [item for item in account.items("request") if item["id"]["S"] == "request-2"]
    checked = run("check_request", content | {"executionArn": claimed["executionArn"]["S"]})

    assert (checked["confirms"], checked["changed"], checked["keyArn"]) == (True, True, access.key)


def test_a_second_confirmation_is_a_separate_request(run: Run, account: Account, machine: StateMachine) -> None:
    handed_off(run, account, "mediapackage")

    for request_id in ("request-2", "request-3"):
        run("receive_request", confirmation({"accessId": ACCESS, "requestId": request_id}))

    assert {content["request"]["requestId"] for content in machine().values()} == {"request-2", "request-3"}


@pytest.mark.parametrize("begun", [True, False])
def test_a_confirmation_of_an_unrecorded_access_is_rejected(
    run: Run, account: Account, machine: StateMachine, begun: bool
) -> None:
    if begun:
        Onboarding(run, account, system="mediapackage", resource={"configure": False}).run_through("attach_policies")

    run("receive_request", confirmation({"accessId": ACCESS}))

    [content] = machine().values()
    assert [problem["place"] for problem in content["problems"]] == ["accessId"]
    assert content["request"] is None


@pytest.mark.parametrize(
    ("detail", "places"),
    [
        ({}, {"accessId"}),
        ([], {"detail"}),
        ("canary", {"detail"}),
        (None, {"detail"}),
        ({"accessId": 5}, {"accessId"}),
        ({"accessId": "canary!"}, {"accessId"}),
        ({"accessId": ACCESS, "token": "canary"}, {"token"}),
        (onboarding("mediapackage", secret={"value": "canary"}), {"accessId", "<name>", "secret", "system"}),
    ],
)
def test_an_invalid_confirmation_is_rejected_without_its_values(
    run: Run, machine: StateMachine, detail: Any, places: set[str]
) -> None:
    run("receive_request", confirmation(detail))

    [content] = machine().values()
    assert {problem["place"] for problem in content["problems"]} == places
    assert content["request"] is None
    assert "canary" not in json.dumps(content)
