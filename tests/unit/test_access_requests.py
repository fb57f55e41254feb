"""Requests about a recorded access: what they accept, and the input of their executions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from latchkey.errors import InvalidRequest
from latchkey.onboarding.receive_request import RequestEvent, execution_input, machines
from latchkey.registry.execution_input import ExecutionInput
from latchkey.requests.lifecycle import (
    ACCESS_REQUESTS,
    BULK_ONBOARDING_REQUESTED,
    DISCOVERY_REQUESTED,
    OFFBOARDING_REQUESTED,
    RESTORATION_REQUESTED,
    ROTATION_CONFIRMED,
    ROTATION_REQUESTED,
    OffboardingRequested,
    RotationRequested,
)
from latchkey.requests.models import (
    HANDOFF_CONFIRMED,
    NO_TOKEN_HERE,
    NOTHING_HANDED_OFF,
    ONBOARDING_REQUESTED,
    RECONCILIATION_REQUESTED,
    OnboardingRequest,
)
from latchkey.requests.parsing import parse_access_request, parse_onboarding
from tests.unit.samples import EXISTING_ARN, FULL, TOKEN, detail

ACCESS_ID = "mediatailor/sourceLocation/sports-origin"
REQUEST = {"requestId": "request-2", "accessId": ACCESS_ID}


def received(kind: str, request: Any, recorded: dict[str, Any] | None = None) -> ExecutionInput:
    """The input of the execution for an event of this kind, as its state machine receives it."""

    def recorded_request(access_id: str) -> OnboardingRequest[Any] | None:
        return parse_onboarding(recorded or detail(FULL)) if access_id == ACCESS_ID else None

    event = RequestEvent.model_validate({"id": "event-1", "detail-type": kind, "detail": request})
    return ExecutionInput.model_validate_json(execution_input(event, recorded_request).model_dump_json(by_alias=True))


@pytest.mark.parametrize("kind", ACCESS_REQUESTS)
def test_the_input_contains_the_request_and_the_one_that_the_access_last_fulfilled(kind: str) -> None:
    content = received(kind, REQUEST)

    assert content.request
    assert content.asked
    assert content.request.wire == detail(FULL) | {"requestId": "request-2"}
    assert (content.kind, content.asked.kind, content.asked.wire) == (kind, kind, REQUEST)
    assert (content.access_id, content.system, content.confirms, content.problems) == (ACCESS_ID, "mediatailor", False, ())


@pytest.mark.parametrize("kind", ACCESS_REQUESTS)
def test_a_request_about_an_access_that_is_not_recorded_is_rejected(kind: str) -> None:
    content = received(kind, REQUEST | {"accessId": "mediatailor/sourceLocation/other"})

    assert (content.request, content.asked, content.access_id) == (None, None, None)
    assert [(problem.path, problem.rule) for problem in content.problems] == [("accessId", NOTHING_HANDED_OFF)]


@pytest.mark.parametrize("kind", ACCESS_REQUESTS)
@pytest.mark.parametrize("bad", [{}, {"accessId": 7}, {"accessId": ACCESS_ID, "token": TOKEN}, [], None, TOKEN], ids=str)
def test_the_input_of_an_invalid_request_contains_only_problems(kind: str, bad: Any) -> None:
    content = received(kind, bad)

    assert content.problems
    assert (content.request, content.asked) == (None, None)
    assert TOKEN not in content.model_dump_json()


def test_requests_of_two_kinds_with_one_detail_have_different_hashes() -> None:
    assert len({received(kind, REQUEST).content_hash for kind in ACCESS_REQUESTS}) == len(ACCESS_REQUESTS)


@pytest.mark.parametrize("kind", ACCESS_REQUESTS)
def test_a_request_gets_the_id_of_its_event_if_it_has_none(kind: str) -> None:
    content = received(kind, {"accessId": ACCESS_ID})

    assert content.request
    assert content.asked
    assert {content.request_id, content.request.request_id, content.asked.request_id} == {"event-1"}


def test_every_kind_of_request_has_its_state_machine() -> None:
    names = ("bulk", "discover", "offboard", "onboard", "reconcile", "rotate")
    assert machines(**{name: name for name in names}) == {
        ONBOARDING_REQUESTED: "onboard",
        HANDOFF_CONFIRMED: "onboard",
        RESTORATION_REQUESTED: "onboard",
        OFFBOARDING_REQUESTED: "offboard",
        ROTATION_REQUESTED: "rotate",
        ROTATION_CONFIRMED: "rotate",
        RECONCILIATION_REQUESTED: "reconcile",
        BULK_ONBOARDING_REQUESTED: "bulk",
        DISCOVERY_REQUESTED: "discover",
    }


def problems(kind: str, members: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidRequest) as raised:
        parse_access_request(kind, REQUEST | members)
    return [problem.path for problem in raised.value.problems]


@pytest.mark.parametrize("days", [6, 31, 0, -1, "7", 7.5, None])
def test_the_recovery_window_is_what_secrets_manager_accepts(days: object) -> None:
    assert problems(OFFBOARDING_REQUESTED, {"recoveryDays": days}) == ["recoveryDays"]


@pytest.mark.parametrize("choice", ["remove", "RESTORE", "", None, 1])
def test_the_resource_is_restored_detached_deleted_or_left(choice: object) -> None:
    assert problems(OFFBOARDING_REQUESTED, {"resource": choice}) == ["resource"]


def test_by_default_a_resource_is_restored_and_the_secret_recoverable_for_thirty_days() -> None:
    asked = parse_access_request(OFFBOARDING_REQUESTED, REQUEST)

    assert isinstance(asked, OffboardingRequested)
    assert (asked.resource, asked.recovery_days) == ("restore", 30)


def test_by_default_a_rotation_generates_a_token_and_interrupts_nobody() -> None:
    asked = parse_access_request(ROTATION_REQUESTED, REQUEST)

    assert isinstance(asked, RotationRequested)
    assert asked.value.generate
    assert asked.value.copy_from is None
    assert (asked.emergency, asked.accepts_interruption, asked.pending_days, asked.withdraw) == (False, False, 7, False)


@pytest.mark.parametrize(
    ("members", "paths"),
    [
        ({"value": {}}, ["value"]),
        ({"value": {"generate": {}, "copyFrom": {"secretArn": EXISTING_ARN}}}, ["value"]),
        ({"value": {"existing": {"secretArn": EXISTING_ARN}}}, ["value.<name>"]),
        ({"pendingDays": 0}, ["pendingDays"]),
        ({"pendingDays": 31}, ["pendingDays"]),
        ({"withdraw": True, "emergency": True}, ["detail"]),
        ({"withdraw": True, "value": {"generate": {}}}, ["detail"]),
        ({"resource": "restore"}, ["<name>"]),
    ],
    ids=str,
)
def test_a_rotation_that_contradicts_itself_is_rejected(members: dict[str, Any], paths: list[str]) -> None:
    assert problems(ROTATION_REQUESTED, members)[:1] == paths


@pytest.mark.parametrize("value", [TOKEN, [TOKEN], {"token": TOKEN}, {"generate": TOKEN}], ids=str)
def test_a_token_in_a_rotation_is_rejected_and_not_repeated(value: object) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_access_request(ROTATION_REQUESTED, REQUEST | {"value": value})

    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("value", [TOKEN, {"token": TOKEN}], ids=str)
def test_whoever_sent_a_token_learns_that_it_must_be_replaced(value: object) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_access_request(ROTATION_REQUESTED, REQUEST | {"value": value})

    assert any(NO_TOKEN_HERE in problem.rule for problem in raised.value.problems)


def test_a_request_that_was_parsed_before_is_kept_as_it_is() -> None:
    asked = parse_access_request(OFFBOARDING_REQUESTED, REQUEST | {"recoveryDays": 7})
    content = ExecutionInput(requestId="request-2", contentHash="c" * 64, kind=OFFBOARDING_REQUESTED, asked=asked)

    assert content.asked is asked
    assert json.loads(content.model_dump_json(by_alias=True))["asked"] == REQUEST | {"recoveryDays": 7}


@pytest.mark.parametrize("kind", ACCESS_REQUESTS)
def test_a_request_that_is_carried_out_at_once_can_say_so(kind: str) -> None:
    content = received(kind, REQUEST | {"mode": "apply"})

    assert content.problems == ()
    assert content.asked
    assert content.asked.content == {"accessId": ACCESS_ID}


@pytest.mark.parametrize("kind", [ONBOARDING_REQUESTED, HANDOFF_CONFIRMED, *ACCESS_REQUESTS])
def test_a_request_that_makes_a_plan_follows_none(kind: str) -> None:
    sent = detail(FULL) if kind == ONBOARDING_REQUESTED else REQUEST

    content = received(kind, sent | {"mode": "plan", "planHash": 64 * "0"})

    assert len(content.problems) == 1
    assert "planHash" in content.problems[0].rule


@pytest.mark.parametrize("given", ["0", 64 * "g", 64 * "A", 65 * "0", "", f" {64 * '0'}", 1])
def test_a_plan_hash_has_64_hexadecimal_digits(given: object) -> None:
    content = received(ONBOARDING_REQUESTED, detail(FULL) | {"planHash": given})

    assert [problem.path for problem in content.problems] == ["planHash"]


def test_a_confirmation_is_planned_by_its_own_members() -> None:
    planned = received(HANDOFF_CONFIRMED, REQUEST | {"mode": "plan"}).request
    following = received(HANDOFF_CONFIRMED, REQUEST | {"planHash": 64 * "0"}).request
    carried_out = received(HANDOFF_CONFIRMED, REQUEST).request

    assert planned
    assert following
    assert carried_out
    assert (planned.plans, following.plans, carried_out.plans) == (True, False, False)
    assert (planned.is_planned, following.is_planned, carried_out.is_planned) == (True, True, False)
    assert planned.content == following.content == carried_out.content
    assert planned.recorded == carried_out.recorded == carried_out.wire


def test_a_request_and_its_plan_have_the_same_content() -> None:
    requests = [
        parse_onboarding(detail(FULL) | how)
        for how in ({"requestId": "one"}, {"mode": "plan"}, {"mode": "apply"}, {"planHash": 64 * "0"})
    ]

    assert all(request.content == requests[0].content for request in requests)
    assert "planHash" not in requests[-1].recorded
    assert requests[0].content != parse_onboarding(detail({**FULL, "tags": {"team": "other"}})).content
