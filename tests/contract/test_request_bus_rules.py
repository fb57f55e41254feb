"""The rules on the request bus match every request and no event that Latchkey publishes."""

from typing import Any

import pytest

from latchkey.events.outcomes import OUTCOMES
from latchkey.events.publishing import SOURCE
from latchkey.requests.lifecycle import (
    BULK_ONBOARDING_REQUESTED,
    DISCOVERY_REQUESTED,
    KINDS,
    OFFBOARDING_REQUESTED,
    RESTORATION_REQUESTED,
    ROTATION_CONFIRMED,
    ROTATION_REQUESTED,
)
from latchkey.requests.models import HANDOFF_CONFIRMED, ONBOARDING_REQUESTED, RECONCILIATION_REQUESTED
from tests.contract.artifacts import FUNCTIONS, RESOURCES, statements
from tests.contract.event_rules import REQUEST_RULES, matches
from tests.contract.sample_requests import ENTRIES

entries = pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
rules = pytest.mark.parametrize("rule", REQUEST_RULES)

# The kinds of requests whose execution receive_request starts.
STARTED = {
    BULK_ONBOARDING_REQUESTED,
    DISCOVERY_REQUESTED,
    ONBOARDING_REQUESTED,
    HANDOFF_CONFIRMED,
    OFFBOARDING_REQUESTED,
    RESTORATION_REQUESTED,
    ROTATION_REQUESTED,
    ROTATION_CONFIRMED,
    RECONCILIATION_REQUESTED,
}


def matching_rules(source: str, detail_type: str, detail: dict[str, Any]) -> list[dict[str, Any]]:
    event = {"source": source, "detail-type": detail_type, "detail": detail}
    return [rule for rule in REQUEST_RULES if matches(rule["Pattern"], event)]


@entries
def test_a_sample_request_starts_exactly_one_function(entry: dict[str, Any]) -> None:
    assert len(matching_rules(entry["Source"], entry["DetailType"], entry["Detail"])) == 1


def test_every_kind_of_request_that_receive_request_handles_has_a_sample() -> None:
    assert {entry["DetailType"] for entry in ENTRIES.values()} == STARTED


@pytest.mark.parametrize(
    "source", ["latchkey.requests", "latchkey.requests.sports", "latchkey.requests.NOT VALID", "latchkey.requests."]
)
@pytest.mark.parametrize("detail_type", [*KINDS, "Onboarding Request"])
def test_a_request_of_any_kind_even_an_unknown_one_starts_exactly_one_function(source: str, detail_type: str) -> None:
    assert len(matching_rules(source, detail_type, {})) == 1


def test_receive_request_receives_every_request() -> None:
    [rule] = FUNCTIONS["ReceiveRequestFunction"]["Events"].values()

    assert "detail-type" not in rule["Properties"]["Pattern"]
    assert set(KINDS) == STARTED


@entries
def test_a_sample_request_names_the_bus_of_the_stack(entry: dict[str, Any]) -> None:
    name = RESOURCES["RequestBus"]["Properties"]["Name"]["Fn::Sub"].replace("${AWS::StackName}", "latchkey")

    assert entry["EventBusName"] == name


@pytest.mark.parametrize("detail_type", OUTCOMES)
def test_an_outcome_starts_no_function(detail_type: str) -> None:
    assert matching_rules(SOURCE, detail_type, {}) == []


@pytest.mark.parametrize("detail_type", KINDS)
def test_a_request_from_another_source_starts_no_function(detail_type: str) -> None:
    assert matching_rules("other", detail_type, {}) == matching_rules("latchkey.requestsports", detail_type, {}) == []


@rules
def test_every_rule_is_on_the_request_bus(rule: dict[str, Any]) -> None:
    assert rule["EventBusName"] == {"Ref": "RequestBus"}


def test_only_the_reporting_functions_can_publish_outcomes() -> None:
    denial = RESOURCES["RequestBusPolicy"]["Properties"]["Statement"]
    publishers = [name for name, function in FUNCTIONS.items() if "events:PutEvents" in str(statements(function))]

    assert denial["Effect"] == "Deny"
    assert denial["Condition"]["ForAnyValue:StringEquals"] == {"events:source": SOURCE}
    assert denial["Condition"]["ArnNotEquals"] == {
        "aws:PrincipalArn": [{"Fn::GetAtt": f"{name}Role.Arn"} for name in publishers]
    }
    assert publishers == ["ReportOutcomeFunction", "TakeInventoryFunction", "ReconcileAccessFunction", "ReportCleanUpFunction"]
