"""The input and the name of the execution for an event."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey.onboarding.receive_request import RequestEvent, execution_input, receive_request
from latchkey.registry import Registry
from latchkey.registry.execution_input import ExecutionInput
from latchkey.registry.requests import RequestRef
from latchkey.requests.lifecycle import ACCESS_REQUESTS, KINDS
from latchkey.requests.models import HANDOFF_CONFIRMED, NOTHING_HANDED_OFF, ONBOARDING_REQUESTED, OnboardingRequest
from latchkey.requests.parsing import parse_onboarding
from latchkey.requests.sender import NOT_ALLOWED
from tests.unit.samples import (
    EXECUTION_ARN,
    EXISTING_ARN,
    FULL,
    KEY_ARN,
    MISSING,
    PLACE,
    TENANTS,
    TOKEN,
    TOKEN_PLACES,
    detail,
    nested,
)
from tests.unit.test_registry import RECORD

STATE_MACHINE = PLACE.arn("states", "stateMachine:onboard-access")
MACHINES = dict.fromkeys((*KINDS, *ACCESS_REQUESTS), STATE_MACHINE)
EVENT_ID = "6a7e8feb-b491-4cf7-a9f1-bf3703467718"
MEMBERS = {
    "requestId",
    "contentHash",
    "system",
    "accessId",
    "request",
    "tenant",
    "senderAccount",
    "eventId",
    "confirms",
    "problems",
    "kind",
    "asked",
    "resumes",
    "repair",
}


def received(request: Any) -> dict[str, Any]:
    """The input of the execution as Step Functions receives it."""
    return sent(execution_input(RequestEvent(id=EVENT_ID, detail=request), lambda _: None))


def sent(content: ExecutionInput) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(content.model_dump_json(by_alias=True))
    return members


def test_the_input_of_a_valid_request_is_the_parsed_request() -> None:
    content = received(detail(FULL))
    assert content["accessId"] == "mediatailor/sourceLocation/sports-origin"
    assert parse_onboarding(content["request"]) == parse_onboarding(detail(FULL))
    assert (content["system"], content["confirms"], content["problems"]) == ("mediatailor", False, [])


@pytest.mark.parametrize("request_detail", [detail(FULL), detail({"key.alias": "alias/aws/kms"}), {}, [], None])
def test_the_state_machine_receives_every_member(request_detail: Any) -> None:
    assert set(received(request_detail)) == MEMBERS
    assert set(confirmed(request_detail)) == MEMBERS


def test_an_input_of_an_earlier_version_is_still_read() -> None:
    former = {"requestId": "request-1", "contentHash": "c" * 64}
    assert sent(ExecutionInput.model_validate_json(json.dumps(former))) == former | {
        "system": None,
        "accessId": None,
        "request": None,
        "tenant": "default",
        "senderAccount": "",
        "eventId": None,
        "confirms": False,
        "problems": [],
        "kind": ONBOARDING_REQUESTED,
        "asked": None,
        "resumes": None,
        "repair": None,
    }


def test_the_content_hash_equals_that_of_earlier_versions() -> None:
    """Another hash would turn the repetition of an old request into a conflict."""
    assert received(detail(FULL))["contentHash"] == "e068acd23ccc5cbf6a6c1d21b95126ac85ac16d39d6cf4630dbd4a6dcd63b525"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"key.arn": KEY_ARN},
        {"key": {"arn": KEY_ARN}, "secret.value.existing.secretArn": EXISTING_ARN},
        {"secret.value.copyFrom": {"secretArn": EXISTING_ARN, "key": None}},
        {"tags": {}, "secret": {}, "managementRoles": []},
    ],
    ids=str,
)
def test_every_step_parses_the_request_of_the_input_again(changes: dict[str, Any]) -> None:
    assert parse_onboarding(received(detail(changes))["request"]) == parse_onboarding(detail(changes))


def test_the_input_of_an_invalid_request_contains_its_problems() -> None:
    content = received(detail({"key.alias": "alias/aws/kms"}))
    assert (content["system"], content["accessId"], content["request"]) == ("mediatailor", None, None)
    assert [problem["place"] for problem in content["problems"]] == ["key.alias"]


def test_an_unknown_detail_type_is_a_problem_and_part_of_the_hash() -> None:
    event = RequestEvent.model_validate({"id": EVENT_ID, "detail-type": "Access Requested", "detail": detail(FULL)})
    content = sent(execution_input(event, lambda _: None))
    assert [problem["place"] for problem in content["problems"]] == ["detail-type"]
    assert content["request"] is None
    assert content["contentHash"] != received(detail(FULL))["contentHash"]


@pytest.mark.parametrize("request_detail", TOKEN_PLACES.values(), ids=TOKEN_PLACES)
def test_no_value_of_a_rejected_request_enters_an_execution(request_detail: dict[str, Any]) -> None:
    content = received(request_detail)
    assert content["problems"]
    assert TOKEN not in json.dumps(content)


@pytest.mark.parametrize("system", ["mediastore", TOKEN, ["mediatailor"], None])
def test_an_unknown_system_is_not_in_the_input(system: object) -> None:
    assert received(detail({"system": system}))["system"] is None


def test_a_request_without_an_id_gets_the_event_id() -> None:
    content = received(detail({"requestId": MISSING}))
    assert content["requestId"] == content["request"]["requestId"] == EVENT_ID


@pytest.mark.parametrize("request_id", ["", "a b", "r" * 129, 7, None, ["a"]])
def test_a_request_with_an_invalid_id_gets_the_event_id_and_is_rejected(request_id: object) -> None:
    content = received(detail({"requestId": request_id}))
    assert content["requestId"] == EVENT_ID
    assert [problem["place"] for problem in content["problems"]] == ["requestId"]


@pytest.mark.parametrize("no_object", [None, "onboard", 7, [], ["onboard"]])
def test_a_detail_that_is_not_an_object_is_rejected_under_the_event_id(no_object: object) -> None:
    content = received(no_object)
    assert content["requestId"] == EVENT_ID
    assert content["problems"] == [{"place": "detail", "rule": "must be a JSON object"}]


def test_a_deeply_nested_request_is_rejected_under_the_event_id(registry: Registry) -> None:
    deep = nested(100_000)
    content = received(detail() | {"notes": deep})
    assert content["requestId"] == "request-1"
    assert [problem["place"] for problem in content["problems"]] == ["detail"]
    # Its content cannot be hashed, so the event ID identifies it: a second delivery of the event starts nothing.
    first, second = (start(detail() | {"notes": deep}, registry) for _ in range(2))
    assert first == second != start(detail(), registry, "event-2")


def test_an_empty_request_does_not_need_an_id() -> None:
    assert [problem["place"] for problem in received({})["problems"]] == ["resource", "system"]


def test_the_hash_ignores_the_order_of_members_and_the_request_id() -> None:
    request = detail(FULL)
    turned = json.loads(json.dumps(dict(reversed(request.items()))))
    turned["key"] = dict(reversed(turned["key"].items()))
    hashes = {
        received(content)["contentHash"]
        for content in (request, turned, request | {"requestId": "other"}, detail({**FULL, "requestId": MISSING}))
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    "changes", [{"resource.header": "X-Other"}, {"managementRoles": []}, {"tags": {"team": "news"}}, {"unknown": 1}]
)
def test_the_hash_covers_every_member(changes: dict[str, Any]) -> None:
    assert received(detail(changes))["contentHash"] != received(detail())["contentHash"]


def test_the_execution_name_depends_on_request_and_content(registry: Registry) -> None:
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"requestId": "request-2"},
        {"resource.header": "X-Other"},
        {"requestId": MISSING},
    )
    names = {start(detail(changed), registry, f"event-{number}") for number, changed in enumerate(changes)}
    assert len(names) == 4
    assert all(re.fullmatch(r"[0-9a-f]{32}-[0-9a-f]{32}", name) for name in names)


def test_the_same_request_again_has_the_same_name(registry: Registry) -> None:
    assert start(detail(FULL), registry) == start(dict(reversed(detail(FULL).items())), registry)


def test_a_repeated_request_starts_nothing(registry: Registry) -> None:
    stepfunctions = boto3.client("stepfunctions")
    with Stubber(stepfunctions) as stubber:
        stubber.add_client_error("start_execution", "ExecutionAlreadyExists")
        answer = receive_request(RequestEvent(id=EVENT_ID, detail=detail()), registry, TENANTS, stepfunctions, MACHINES)
    assert answer.request_id == "request-1"


def test_a_request_with_an_outcome_starts_nothing(registry: Registry) -> None:
    name = start(detail(), registry)
    end(detail(), registry)

    assert again(detail(), registry) == name


def test_other_content_under_a_used_id_is_rejected_under_the_event_id(registry: Registry) -> None:
    start(detail(), registry, "event-1")
    _, content = started(detail({"resource.header": "X-Other"}), registry, "event-2")

    assert content["requestId"] == content["eventId"] == "event-2"
    assert (content["request"], content["accessId"]) == (None, None)
    assert [problem["place"] for problem in content["problems"]] == ["requestId"]
    received_first, received_second = (registry.requests.received(name) for name in ("request-1", "event-2"))
    assert received_first
    assert received_second
    assert (received_first.event_id, received_second.event_id) == ("event-1", "event-2")


def test_a_rejected_conflict_starts_nothing_again(registry: Registry) -> None:
    end(detail(), registry)
    other = detail({"resource.header": "X-Other"})
    start(other, registry)
    registry.requests.record_outcome(RequestRef(EVENT_ID, received(other)["contentHash"]), "one", "Request Rejected", "{}")

    assert again(other, registry) != again(detail(), registry)


def test_a_second_event_of_a_request_starts_the_execution_of_the_first_one(registry: Registry) -> None:
    content = execution_input(RequestEvent(id="event-1", detail=detail()), lambda _: None)
    registry.requests.receive(content.ref, "event-1", EXECUTION_ARN)

    assert started(detail(), registry, "event-2")[1]["eventId"] == "event-1"


def test_the_request_of_a_sender_that_is_not_allowed_is_not_part_of_the_input(registry: Registry) -> None:
    _, content = started(detail(), registry, "event-1", source="latchkey.requests.UPPER")

    assert [problem["place"] for problem in content["problems"]] == ["source"]
    assert (content["request"], content["accessId"], content["confirms"]) == (None, None, False)


def test_a_claimed_request_without_an_outcome_starts_again(registry: Registry) -> None:
    content = received(detail())
    registry.requests.claim(RequestRef("request-1", content["contentHash"]), EXECUTION_ARN)

    start(detail(), registry)


def test_an_execution_that_does_not_start_is_an_error(registry: Registry) -> None:
    stepfunctions = boto3.client("stepfunctions")
    with Stubber(stepfunctions) as stubber:
        stubber.add_client_error("start_execution", "StateMachineDoesNotExist")
        with pytest.raises(ClientError, match="StateMachineDoesNotExist"):
            receive_request(RequestEvent(id=EVENT_ID, detail=detail()), registry, TENANTS, stepfunctions, MACHINES)


HANDED_OFF = detail({"resource.configure": False})
ACCESS_ID = "mediatailor/sourceLocation/sports-origin"


def confirmed(request: Any, recorded: dict[str, Any] | None = HANDED_OFF) -> dict[str, Any]:
    event = RequestEvent.model_validate({"id": EVENT_ID, "detail-type": HANDOFF_CONFIRMED, "detail": request})

    def recorded_request(access_id: str) -> OnboardingRequest[Any] | None:
        return parse_onboarding(recorded) if recorded and access_id == ACCESS_ID else None

    return sent(execution_input(event, recorded_request))


def test_a_confirmation_becomes_the_request_that_the_access_last_fulfilled() -> None:
    content = confirmed({"requestId": "request-2", "accessId": ACCESS_ID})
    assert content["request"] == HANDED_OFF | {"requestId": "request-2"}
    known = {name: content[name] for name in ("requestId", "accessId", "system", "confirms")}
    assert known == {"requestId": "request-2", "accessId": ACCESS_ID, "system": "mediatailor", "confirms": True}
    assert content["problems"] == []


def test_a_confirmation_without_an_id_gets_the_event_id() -> None:
    content = confirmed({"accessId": ACCESS_ID})
    assert content["requestId"] == content["request"]["requestId"] == EVENT_ID


@pytest.mark.parametrize(
    ("request_detail", "recorded"),
    [({"accessId": ACCESS_ID}, None), ({"accessId": f"{ACCESS_ID}-2"}, HANDED_OFF)],
    ids=["nothing recorded", "another access"],
)
def test_a_confirmation_of_an_unrecorded_access_is_rejected(
    request_detail: dict[str, Any], recorded: dict[str, Any] | None
) -> None:
    content = confirmed(request_detail, recorded)
    assert (content["system"], content["accessId"], content["request"], content["confirms"]) == (None, None, None, False)
    assert content["problems"] == [{"place": "accessId", "rule": NOTHING_HANDED_OFF}]


def test_a_recorded_request_that_is_no_longer_valid_is_rejected() -> None:
    content = confirmed({"accessId": ACCESS_ID}, HANDED_OFF | {"removed": "member"})
    assert [problem["place"] for problem in content["problems"]] == ["removed"]
    assert content["request"] is None


@pytest.mark.parametrize(
    ("tenant", "problems"),
    [
        ("default", []),
        ("sports", [{"place": "accessId", "rule": NOT_ALLOWED}]),
        (None, [{"place": "accessId", "rule": NOTHING_HANDED_OFF}]),
    ],
    ids=["its own", "another tenant's", "nobody's"],
)
def test_only_the_tenant_of_an_access_confirms_its_handoff(
    registry: Registry, tenant: str | None, problems: list[dict[str, str]]
) -> None:
    if tenant:
        handed_off = replace(RECORD, status="handed-off", reached="handed-off", tenant=tenant)
        registry.accesses.save(handed_off, HANDED_OFF)

    content = started({"requestId": "request-2", "accessId": ACCESS_ID}, registry, "event-2", HANDOFF_CONFIRMED)[1]

    assert content["problems"] == problems
    assert (content["request"] is None) is bool(problems)


@pytest.mark.parametrize("kind", ACCESS_REQUESTS)
@pytest.mark.parametrize("tenant", ["default", "sports"])
def test_only_the_tenant_of_an_access_sends_requests_about_it(registry: Registry, kind: str, tenant: str) -> None:
    registry.accesses.save(replace(RECORD, tenant=tenant), detail(FULL))

    content = started({"requestId": "request-2", "accessId": ACCESS_ID}, registry, "event-2", kind)[1]

    problems = [{"place": "accessId", "rule": NOT_ALLOWED}] if tenant == "sports" else []
    assert content["problems"] == problems
    assert (content["request"] is None) is bool(problems)


@pytest.mark.parametrize("bad", [{}, {"accessId": 7}, {"accessId": ACCESS_ID, "token": TOKEN}, [], None, TOKEN])
def test_the_input_of_an_invalid_confirmation_contains_only_problems(bad: Any) -> None:
    content = confirmed(bad)
    assert content["problems"]
    assert content["request"] is None
    assert TOKEN not in json.dumps(content)


def test_an_onboarding_of_a_handed_off_access_is_not_a_confirmation() -> None:
    assert confirmed(detail())["problems"]
    assert received(detail())["confirms"] is False


def end(request: dict[str, Any], registry: Registry) -> None:
    """Records an outcome of the request."""
    content = received(request)
    ref = RequestRef(content["requestId"], content["contentHash"])
    registry.requests.record_outcome(ref, "one", "Access Onboarded", "{}")


def again(request: dict[str, Any], registry: Registry) -> str:
    """The execution name of a request that starts no execution: the stub rejects every call."""
    stepfunctions = boto3.client("stepfunctions")
    with Stubber(stepfunctions):
        event = RequestEvent(id=EVENT_ID, detail=request)
        return receive_request(event, registry, TENANTS, stepfunctions, MACHINES).execution_name


def start(request: Any, registry: Registry, event_id: str = EVENT_ID) -> str:
    """The name of the started execution of a request."""
    return started(request, registry, event_id)[0]


def started(
    request: Any, registry: Registry, event_id: str, kind: str = ONBOARDING_REQUESTED, **envelope: str
) -> tuple[str, dict[str, Any]]:
    """The name and the input of the started execution of a request."""
    stepfunctions = boto3.client("stepfunctions")
    event = RequestEvent.model_validate({"id": event_id, "detail-type": kind, "detail": request} | envelope)
    with Stubber(stepfunctions) as stubber:
        # The stub accepts any name, and the test compares it afterward.
        stubber.add_response("start_execution", {"executionArn": STATE_MACHINE, "startDate": 0}, None)
        asked: dict[str, Any] = {}
        stepfunctions.meta.events.register("provide-client-params.stepfunctions.StartExecution", _into(asked))
        answer = receive_request(event, registry, TENANTS, stepfunctions, MACHINES)
    assert (asked["stateMachineArn"], asked["name"]) == (STATE_MACHINE, answer.execution_name)
    return answer.execution_name, json.loads(asked["input"])


def _into(asked: dict[str, Any]) -> Any:
    def keep(params: dict[str, Any], **_: Any) -> None:
        asked.update(params)

    return keep


@pytest.mark.parametrize(
    ("changes", "keeps"),
    [
        ({}, False),
        ({"secret.value": {"existing": {"secretArn": EXISTING_ARN}}}, False),
        ({"secret.value": {"copyFrom": {"secretArn": EXISTING_ARN}}}, True),
        ({"secret.value": {"copyFrom": {"secretArn": EXISTING_ARN}}, "takesEffectNow": True}, True),
    ],
    ids=["generated", "adopted", "copied", "copied and configured at once"],
)
def test_a_restoration_copies_no_token_again(changes: dict[str, Any], keeps: bool) -> None:
    recorded = parse_onboarding(detail(changes, "mediapackage"))
    detail_ = {"requestId": "restore-1", "accessId": recorded.access_id}
    event = RequestEvent.model_validate({"id": EVENT_ID, "detail-type": "Restoration Requested", "detail": detail_})

    content = sent(execution_input(event, lambda _: recorded))

    restored = parse_onboarding(content["request"], is_new=False)
    assert restored.secret.keeps_value is keeps
    assert not restored.takes_effect_now
