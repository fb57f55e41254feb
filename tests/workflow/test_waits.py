"""A request that waits, and one that reuses an id, are visible in the registry, and say which request they met."""

import uuid
from typing import Any

from local_aws.tools.embedded_aws import until
from tests.workflow.onboarding import Onboarding


def request(onboarding: Onboarding, request_id: str) -> dict[str, Any]:
    """The attributes of a request in the registry."""
    dynamodb = onboarding.aws.client("dynamodb")
    [table] = [name for name in dynamodb.list_tables()["TableNames"] if "AccessTable" in name]
    found = dynamodb.get_item(TableName=table, Key={"kind": {"S": "request"}, "id": {"S": request_id}}).get("Item", {})
    return {name: next(iter(value.values())) for name, value in found.items()}


def test_request_that_waits_for_another_one_names_it(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    second = first | {"requestId": f"second-{first['requestId']}"}
    onboarding.put_held(first)
    onboarding.put(second)

    waiting = until(lambda: "waitingSince" in (item := request(onboarding, second["requestId"])) and item, "the wait", 60) or {}
    onboarding.aws.control("DELETE", "held")

    assert f"request {first['requestId']} " in waiting["waitingFor"]
    assert waiting["waitingSince"] < waiting["waitingUntil"]
    assert "outcome" not in waiting
    for detail in (first, second):
        assert onboarding.outcomes.wait_for(detail["requestId"], 120)["detail-type"] == "Access Onboarded"
    ended = request(onboarding, second["requestId"])
    assert (ended["waitedFor"], "waitingSince" in ended) == (waiting["waitingFor"], False)


def test_request_that_waited_in_vain_says_for_which_one(fast_onboarding: Onboarding) -> None:
    first = fast_onboarding.detail()
    second = first | {"requestId": f"second-{first['requestId']}"}
    fast_onboarding.put_held(first)

    failed = fast_onboarding.send(second)
    fast_onboarding.aws.control("DELETE", "held")

    assert (failed["detail-type"], failed["detail"]["failure"]["name"]) == ("Request Failed", "NotYetEffective")
    assert f"request {first['requestId']} " in failed["detail"]["failure"]["message"]
    fast_onboarding.outcomes.wait_for(first["requestId"], 120)


def test_propagation_is_visible_while_a_request_waits_for_it(onboarding: Onboarding) -> None:
    """KMS needs some seconds until the service can create its grant."""
    onboarding.aws.control("PUT", "assumptions", {"grantLagSeconds": 12})
    detail = onboarding.detail()
    onboarding.put(detail)

    waiting = until(lambda: "waitingSince" in (item := request(onboarding, detail["requestId"])) and item, "the wait", 60) or {}

    assert "grant is there" in waiting["waitingFor"]
    assert onboarding.outcomes.wait_for(detail["requestId"], 120)["detail-type"] == "Access Onboarded"


def test_rejected_reuse_of_an_id_is_found_by_its_event_and_its_content(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    event_id = onboarding.put(onboarding.detail() | {"requestId": detail["requestId"]})
    rejected = onboarding.outcomes.wait_for(event_id, 60)
    assert rejected["detail-type"] == "Request Rejected"

    first, second = request(onboarding, detail["requestId"]), request(onboarding, event_id)

    assert (first["outcomeType"], first["reusedBy"]) == ("Access Onboarded", [event_id])
    assert (second["outcomeType"], second["contentHash"]) == ("Request Rejected", rejected["detail"]["contentHash"])
    assert first["contentHash"] != second["contentHash"]
    assert uuid.UUID(event_id)
