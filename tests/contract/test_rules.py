"""The rules on the request bus: they take what senders put and nothing that Latchkey says itself."""

from typing import Any

import pytest

from latchkey.events.outcomes import OUTCOMES
from latchkey.events.publishing import SOURCE
from latchkey.requests.models import HANDOFF_CONFIRMED, KINDS, ONBOARDING_REQUESTED
from tests.contract.artefacts import FUNCTIONS, RESOURCES, statements
from tests.contract.rules import REQUEST_RULES as RULES
from tests.contract.rules import matches
from tests.contract.sent import SENT

requests = pytest.mark.parametrize("entry", SENT.values(), ids=SENT)


@requests
def test_a_request_as_it_is_put_starts_exactly_one_function(entry: dict[str, Any]) -> None:
    event = {"source": entry["Source"], "detail-type": entry["DetailType"], "detail": entry["Detail"]}

    assert len([rule for rule in RULES if matches(rule["Pattern"], event)]) == 1


def test_every_kind_of_request_that_is_received_has_a_sample() -> None:
    assert {ONBOARDING_REQUESTED, HANDOFF_CONFIRMED} == {entry["DetailType"] for entry in SENT.values()}


@pytest.mark.parametrize("detail_type", [*KINDS, "Offboarding Requested", "Onboarding Request"])
def test_whatever_is_requested_starts_exactly_one_function(detail_type: str) -> None:
    event = {"source": "latchkey.requests", "detail-type": detail_type, "detail": {}}

    assert len([rule for rule in RULES if matches(rule["Pattern"], event)]) == 1


def test_only_what_the_sweep_takes_is_not_received() -> None:
    [rule] = FUNCTIONS["ReceiveRequestFunction"]["Events"].values()
    sweep = FUNCTIONS["SweepGrantsFunction"]["Events"]["ReconciliationRequested"]

    assert rule["Properties"]["Pattern"]["detail-type"] == [{"anything-but": sweep["Properties"]["Pattern"]["detail-type"]}]
    assert set(KINDS) - {ONBOARDING_REQUESTED, HANDOFF_CONFIRMED} == set(sweep["Properties"]["Pattern"]["detail-type"])


@requests
def test_a_request_names_the_bus_of_the_stack(entry: dict[str, Any]) -> None:
    name = RESOURCES["RequestBus"]["Properties"]["Name"]["Fn::Sub"].replace("${AWS::StackName}", "latchkey")

    assert entry["EventBusName"] == name


@pytest.mark.parametrize("detail_type", OUTCOMES)
def test_an_outcome_starts_nothing(detail_type: str) -> None:
    event = {"source": SOURCE, "detail-type": detail_type, "detail": {}}

    assert [rule for rule in RULES if matches(rule["Pattern"], event)] == []


@pytest.mark.parametrize("rule", RULES)
def test_a_request_under_another_source_starts_nothing(rule: dict[str, Any]) -> None:
    assert not any(matches(rule["Pattern"], {"source": "somebody", "detail-type": kind, "detail": {}}) for kind in KINDS)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_on_the_request_bus(rule: dict[str, Any]) -> None:
    assert rule["EventBusName"] == {"Ref": "RequestBus"}


def test_only_the_functions_that_report_speak_as_latchkey() -> None:
    denial = RESOURCES["RequestBusPolicy"]["Properties"]["Statement"]
    publishing = [name for name, function in FUNCTIONS.items() if "events:PutEvents" in str(statements(function))]

    assert denial["Effect"] == "Deny"
    assert denial["Condition"]["StringEquals"] == {"events:source": SOURCE}
    assert denial["Condition"]["ArnNotEquals"] == {
        "aws:PrincipalArn": [{"Fn::GetAtt": f"{name}Role.Arn"} for name in publishing]
    }
    assert publishing == ["ReportOutcomeFunction", "ReportCleanUpFunction"]
