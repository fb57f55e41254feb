"""The way of a hint: trail event, rule, queue, function; each takes what the one before gives, and nothing else."""

import json
from typing import Any

import pytest

from latchkey.cleanup.trail_events import SOURCES
from tests.contract.artefacts import FUNCTIONS, GLOBALS, ROOT, actions, of_type
from tests.contract.rules import HINT_RULES, REQUEST_RULES, matches

TRAIL = {path.stem: json.loads(path.read_text()) for path in sorted(ROOT.glob("events/trail/*.json"))}
FUNCTION, QUEUE = FUNCTIONS["IdentifyAccessesFunction"], of_type("AWS::SQS::Queue")["HintQueue"]
RULE_ARNS = {f"{name}.Arn" for name in HINT_RULES}
samples = pytest.mark.parametrize("event", TRAIL.values(), ids=TRAIL)
rules = pytest.mark.parametrize("rule", HINT_RULES.values(), ids=HINT_RULES)


def matching(event: dict[str, Any]) -> list[str]:
    return [name for name, rule in HINT_RULES.items() if matches(rule["EventPattern"], event)]


def with_record(event: dict[str, Any], **members: Any) -> dict[str, Any]:
    return event | {"detail": event["detail"] | members}


@samples
def test_a_sample_matches_exactly_one_rule(event: dict[str, Any]) -> None:
    assert len(matching(event)) == 1
    assert [rule for rule in REQUEST_RULES if matches(rule["Pattern"], event)] == []


@samples
def test_what_is_no_hint_matches_no_rule(event: dict[str, Any]) -> None:
    assert matching(with_record(event, errorCode="AccessDenied")) == []
    assert matching(with_record(event, eventName="TagResource")) == []
    assert matching(event | {"detail-type": "Secret Label Updated"}) == []
    assert matching(event | {"source": "somebody"}) == []


@rules
def test_a_rule_takes_the_operations_that_are_hints(rule: dict[str, Any]) -> None:
    pattern = rule["EventPattern"]
    [source] = pattern["detail"]["eventSource"]

    assert set(pattern["detail"]["eventName"]) == SOURCES[source].operations
    assert pattern["source"] == [f"aws.{source.partition('.')[0]}"]


def test_every_source_of_hints_has_its_rule() -> None:
    assert sorted(rule["EventPattern"]["detail"]["eventSource"][0] for rule in HINT_RULES.values()) == sorted(SOURCES)


@rules
def test_a_rule_fills_the_queue_and_keeps_what_it_cannot_deliver(rule: dict[str, Any]) -> None:
    [target] = rule["Targets"]

    assert "EventBusName" not in rule, "the trail's events come on the default bus"
    assert target["Arn"] == {"Fn::GetAtt": "HintQueue.Arn"}
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": "HintRuleDeadLetters.Arn"}}


@pytest.mark.parametrize("queue", ["HintQueue", "HintRuleDeadLetters"])
def test_the_rules_alone_may_fill_the_queues(queue: str) -> None:
    policies = [policy for policy in of_type("AWS::SQS::QueuePolicy").values() if policy["Queues"] == [{"Ref": queue}]]
    [statement] = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]

    assert (statement["Effect"], statement["Action"]) == ("Allow", "sqs:SendMessage")
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Resource"] == {"Fn::GetAtt": f"{queue}.Arn"}
    [arns] = statement["Condition"]["ArnEquals"].values()
    assert {arn["Fn::GetAtt"] for arn in arns} == RULE_ARNS


def test_messages_come_again_a_few_times_and_end_in_a_queue_of_their_own() -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
    assert QUEUE["VisibilityTimeout"] >= 6 * FUNCTION.get("Timeout", GLOBALS["Timeout"])
    assert QUEUE["RedrivePolicy"]["maxReceiveCount"] >= 5
    assert QUEUE["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": "HintQueueDeadLetters.Arn"}


def test_the_function_takes_messages_in_batches_and_names_those_that_failed() -> None:
    [mapping] = of_type("AWS::Lambda::EventSourceMapping").values()

    assert mapping == {
        "EventSourceArn": {"Fn::GetAtt": "HintQueue.Arn"},
        "FunctionName": {"Ref": "IdentifyAccessesFunction"},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BatchSize": 10,
    }


def test_the_roles_of_which_nothing_is_heeded_are_those_that_could_give_such_hints() -> None:
    unheeded = {name.partition(".")[0]: source.operations - source.own_operations for name, source in SOURCES.items()}
    given = {f"{service}:{operation}" for service, operations in unheeded.items() for operation in operations}
    [names] = [names for _, names in [FUNCTION["Environment"]["Variables"]["OWN_ROLE_ARNS"]["Fn::Join"]]]

    assert {name["Fn::GetAtt"] for name in names} == {
        f"{name}Role.Arn" for name, function in FUNCTIONS.items() if actions(function) & given
    }
