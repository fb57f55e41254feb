"""A repeated request, at once or a day later, runs once and has one outcome."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local_aws.tools.embedded_aws import until
from tests.workflow.onboarding import Onboarding

READS = ("Describe", "Get", "List")


def _executions(onboarding: Onboarding) -> list[str]:
    return sorted(execution["name"] for execution in onboarding.executions("Onboard"))


def _put_and_wait(onboarding: Onboarding, details: list[dict[str, Any]]) -> None:
    """Sends repeats of one request concurrently and waits until receive_request has processed them."""
    request_id = details[0]["requestId"]
    expected = onboarding.successes("receive_request", request_id) + len(details)
    with ThreadPoolExecutor(len(details)) as threads:
        list(threads.map(onboarding.put, details))
    until(lambda: onboarding.successes("receive_request", request_id) == expected, f"{expected} events at the gate", 60)


def _called(onboarding: Onboarding) -> Iterator[tuple[str, str]]:
    """Returns service and operation of the calls of all functions."""
    for call in onboarding.aws.control("GET", "calls"):
        if "assumed-role/latchkey-" in call["principal"]:
            yield call["service"], call["operation"]


def test_request_sent_four_times_and_again_a_day_later_runs_once(onboarding: Onboarding) -> None:
    before, detail = _executions(onboarding), onboarding.detail()
    known = onboarding.account_snapshot()

    _put_and_wait(onboarding, [detail] * 4)
    outcome = onboarding.outcomes.wait_for(detail["requestId"], 120)
    made = onboarding.account_snapshot()
    onboarding.aws.control("DELETE", "calls")
    _put_and_wait(onboarding, [detail] * 4)

    assert {*_called(onboarding)} == {("dynamodb", "GetItem")}
    assert onboarding.account_snapshot() == made
    assert [len(made[kind]) - len(known[kind]) for kind in ("keys", "aliases", "secrets", "locations")] == [1, 1, 1, 1]
    assert len(_executions(onboarding)) == len(before) + 1
    assert onboarding.outcomes.of(detail["requestId"]) == [outcome]
    assert outcome["detail-type"] == "Access Onboarded"


def test_rejected_request_sent_again_has_one_outcome(onboarding: Onboarding) -> None:
    detail = onboarding.detail(key={"alias": "alias/aws/mediatailor"})
    onboarding.reject(detail)
    before = _executions(onboarding)

    _put_and_wait(onboarding, [detail] * 2)

    assert _executions(onboarding) == before
    assert len(onboarding.outcomes.of(detail["requestId"])) == 1


def test_conflict_is_rejected_under_the_id_of_its_event(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    event_id = onboarding.put(first)
    outcome = onboarding.outcomes.wait_for(first["requestId"])
    before = onboarding.account_snapshot()
    other = first | {"resource": first["resource"] | {"header": "X-Other-Token"}}

    other_id = onboarding.put(other)
    rejected = onboarding.outcomes.wait_for(other_id)
    _put_and_wait(onboarding, [first])

    assert (outcome["detail-type"], outcome["detail"]["eventId"]) == ("Access Onboarded", event_id)
    assert rejected["detail-type"] == "Request Rejected"
    assert (rejected["detail"]["requestId"], rejected["detail"]["eventId"]) == (other_id, other_id)
    assert [error["place"] for error in rejected["detail"]["errors"]] == ["requestId"]
    assert rejected["detail"]["contentHash"] != outcome["detail"]["contentHash"]
    assert onboarding.outcomes.of(first["requestId"]) == [outcome]
    assert onboarding.account_snapshot() == before


def test_concurrent_requests_with_one_id_create_one_access_and_one_conflict(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    second = first | {"resource": onboarding.detail()["resource"]}

    with ThreadPoolExecutor(2) as threads:
        event_ids = [*threads.map(onboarding.put, [first, second])]

    def answered() -> list[dict[str, Any]]:
        events = [event for event in onboarding.outcomes.all() if event["detail"].get("eventId") in event_ids]
        return events[1:] and events

    found = until(answered, "both outcomes", 60)
    by_type = {event["detail-type"]: event["detail"] for event in found or []}
    assert set(by_type) == {"Access Onboarded", "Request Rejected"}
    assert by_type["Access Onboarded"]["requestId"] == first["requestId"]
    assert by_type["Request Rejected"]["requestId"] == by_type["Request Rejected"]["eventId"]
    names = {detail["resource"]["sourceLocation"] for detail in (first, second)}
    locations = {item["SourceLocationName"] for item in onboarding.account_snapshot()["locations"]}
    assert len(names & locations) == 1


def test_same_content_with_a_new_id_creates_nothing(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    made = onboarding.onboard(first)
    before, token = onboarding.account_snapshot(), onboarding.token(made["resources"]["secretArn"])
    grants = onboarding.grants(made["resources"]["keyArn"])
    onboarding.aws.control("DELETE", "calls")

    again = onboarding.onboard(first | {"requestId": f"{first['requestId']}-again"})

    assert (again["status"], again["changed"]) == ("unchanged", False)
    assert again["resources"] == made["resources"]
    assert onboarding.account_snapshot() == before
    assert onboarding.token(made["resources"]["secretArn"]) == token
    assert onboarding.grants(made["resources"]["keyArn"]) == grants
    outside = {call for call in _called(onboarding) if call[0] in ("kms", "secretsmanager", "mediatailor", "iam")}
    assert outside
    assert [call for call in outside if not call[1].startswith(READS)] == []
    assert len(onboarding.outcomes.of(again["requestId"])) == 1


def test_request_without_an_id_runs_once_per_event(onboarding: Onboarding) -> None:
    detail = onboarding.detail(requestId=None)

    events = [onboarding.put(detail)]
    first = onboarding.outcomes.wait_for(events[0], 60)
    events.append(onboarding.put(detail))
    second = onboarding.outcomes.wait_for(events[1], 60)

    assert [event["detail"]["status"] for event in (first, second)] == ["active", "unchanged"], json.dumps(second)
