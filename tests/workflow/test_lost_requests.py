"""Every request gets its own outcome: one that never started, one whose end was lost, and one whose id somebody else uses."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from local_aws.tools.embedded_aws import until
from tests.workflow.lost_events import LONG_AGO, date_lock_back, lost_status_events
from tests.workflow.onboarding import Onboarding


@pytest.fixture
def onboarding(fast_onboarding: Onboarding) -> Onboarding:
    return fast_onboarding


def _table(onboarding: Onboarding) -> str:
    names = onboarding.aws.client("dynamodb").list_tables()["TableNames"]
    return str(next(name for name in names if "AccessTable" in name))


def _item(onboarding: Onboarding, kind: str, item_id: str) -> dict[str, Any] | None:
    key = {"kind": {"S": kind}, "id": {"S": item_id}}
    found: dict[str, Any] | None = (
        onboarding.aws.client("dynamodb").get_item(TableName=_table(onboarding), Key=key, ConsistentRead=True).get("Item")
    )
    return found


def _set(onboarding: Onboarding, kind: str, item_id: str, name: str, value: dict[str, str]) -> None:
    onboarding.aws.client("dynamodb").update_item(
        TableName=_table(onboarding),
        Key={"kind": {"S": kind}, "id": {"S": item_id}},
        UpdateExpression=f"SET {name} = :value",
        ExpressionAttributeValues={":value": value},
    )


def _two_hours_pass(onboarding: Onboarding, request_id: str, access_id: str = "") -> None:
    """Dates the items of a request and its lock back."""
    received = (datetime.now(UTC) - LONG_AGO).isoformat(timespec="milliseconds")
    _set(onboarding, "request", request_id, "receivedAt", {"S": received})
    if access_id:
        date_lock_back(onboarding, access_id)


def test_request_that_never_started_ends_with_the_sweep(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    fault = {"service": "stepfunctions", "operation": "StartExecution", "error": "AccessDeniedException", "status": 403}
    onboarding.aws.control("POST", "faults", fault | {"caller": "ReceiveRequest", "lasting": True})
    before = onboarding.account_snapshot()

    event_id = onboarding.put(detail)
    until(lambda: _item(onboarding, "request", detail["requestId"]), "the record of the request", 60)
    _two_hours_pass(onboarding, detail["requestId"])
    onboarding.start_reconciliation()
    event = onboarding.outcomes.wait_for(detail["requestId"], 60)

    assert (event["detail-type"], event["detail"]["changed"]) == ("Request Failed", False)
    assert event["detail"]["failure"]["name"] == "ExecutionEnded"
    assert event["detail"]["eventId"] == event_id
    onboarding.aws.control("DELETE", "faults")
    # A late delivery of the event starts nothing.
    onboarding.put(detail)
    assert onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})["eventId"] != event_id
    assert len(onboarding.outcomes.of(detail["requestId"])) == 1
    assert set(before["keys"]) < set(onboarding.account_snapshot()["keys"])


def _held(onboarding: Onboarding, detail: dict[str, Any]) -> str:
    """Sends a request, holds it in CreateSourceLocation, and returns the ARN of its execution."""
    fault = {"service": "mediatailor", "operation": "CreateSourceLocation", "request": detail["requestId"], "error": "hold"}
    onboarding.aws.control("POST", "faults", fault | {"times": 1000})
    onboarding.put(detail)

    def is_held() -> bool:
        return any(one["operation"] == "CreateSourceLocation" for one in onboarding.aws.control("GET", "faults"))

    until(is_held, "the request at CreateSourceLocation", 60)
    item = _item(onboarding, "request", detail["requestId"])
    assert item
    arn: str = item["executionArn"]["S"]
    return arn


def test_lock_of_an_aborted_request_is_not_taken_over_before_its_rollback(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    name = first["resource"]["sourceLocation"]
    first["secret"]["name"] = f"latchkey/one/{name}"
    access_id = f"mediatailor/sourceLocation/{name}"
    with lost_status_events(onboarding):
        execution = _held(onboarding, first)
        onboarding.aws.client("stepfunctions").stop_execution(executionArn=execution)
        onboarding.aws.control("DELETE", "faults")
        _two_hours_pass(onboarding, first["requestId"], access_id)
        second = onboarding.detail(name, key={"alias": f"alias/latchkey/two-{name}"})
        second["secret"]["name"] = f"latchkey/two/{name}"
        refused = onboarding.send(second)
    onboarding.put({}, "Reconciliation Requested")
    ended = onboarding.outcomes.wait_for(first["requestId"], 120)

    assert (refused["detail-type"], refused["detail"]["changed"]) == ("Request Failed", False)
    assert refused["detail"]["failure"]["name"] == "NotYetEffective"
    assert (ended["detail-type"], ended["detail"]["changed"]) == ("Request Failed", False)
    assert ended["detail"]["undone"]
    left = onboarding.account_snapshot()
    assert first["key"]["alias"] not in left["aliases"]
    assert [arn for arn, (_, deleted, _) in left["secrets"].items() if "latchkey/one/" in arn and deleted is None] == []
    assert onboarding.onboard(second | {"requestId": f"again-{second['requestId']}"})["status"] == "active"


@pytest.mark.parametrize("attacker_is_first", [True, False])
def test_sender_recognizes_its_own_outcome_whoever_uses_its_request_id(onboarding: Onboarding, attacker_is_first: bool) -> None:
    mine = onboarding.detail()
    theirs = onboarding.detail() | {"requestId": mine["requestId"]}
    order = [theirs, mine] if attacker_is_first else [mine, theirs]

    event_ids = []
    for detail in order:
        event_ids.append(onboarding.put(detail))
        until(lambda: len(_answered(onboarding, event_ids)) == len(event_ids), f"the outcome of {detail}", 60)

    first, second = _answered(onboarding, event_ids)
    assert (first["detail-type"], first["detail"]["requestId"]) == ("Access Onboarded", mine["requestId"])
    assert (second["detail-type"], second["detail"]["requestId"]) == ("Request Rejected", event_ids[1])
    assert first["detail"]["contentHash"] != second["detail"]["contentHash"]
    assert len(onboarding.outcomes.of(mine["requestId"])) == 1


def _answered(onboarding: Onboarding, event_ids: list[str]) -> list[dict[str, Any]]:
    """The outcomes of events, in the order of the events."""
    by_event = {event["detail"].get("eventId"): event for event in onboarding.outcomes.all()}
    assert None not in by_event, json.dumps(by_event[None])
    return [by_event[event_id] for event_id in event_ids if event_id in by_event]
