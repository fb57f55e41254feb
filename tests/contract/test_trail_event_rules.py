"""The path of a trail event: EventBridge rule, queue, function. Each accepts exactly what the previous one sends."""

import json
from typing import Any

import pytest

from latchkey.cleanup.trail_events import SOURCES
from tests.contract.artifacts import FUNCTIONS, GLOBALS, ROOT, actions, of_type
from tests.contract.event_rules import REQUEST_RULES, TRAIL_EVENT_RULES, matches

SAMPLES = {path.stem: json.loads(path.read_text()) for path in sorted(ROOT.glob("events/trail/*.json"))}
FUNCTION, QUEUE = FUNCTIONS["IdentifyAccessesFunction"], of_type("AWS::SQS::Queue")["HintQueue"]
RULE_ARNS = {f"{name}.Arn" for name in TRAIL_EVENT_RULES}
samples = pytest.mark.parametrize("event", SAMPLES.values(), ids=SAMPLES)
rules = pytest.mark.parametrize("rule", TRAIL_EVENT_RULES.values(), ids=TRAIL_EVENT_RULES)


def matching_rules(event: dict[str, Any]) -> list[str]:
    return [name for name, rule in TRAIL_EVENT_RULES.items() if matches(rule["EventPattern"], event)]


def with_detail(event: dict[str, Any], **members: Any) -> dict[str, Any]:
    return event | {"detail": event["detail"] | members}


@samples
def test_a_sample_event_matches_exactly_one_rule(event: dict[str, Any]) -> None:
    assert len(matching_rules(event)) == 1
    assert [rule for rule in REQUEST_RULES if matches(rule["Pattern"], event)] == []


@samples
def test_failed_calls_and_other_events_match_no_rule(event: dict[str, Any]) -> None:
    assert matching_rules(with_detail(event, errorCode="AccessDenied")) == []
    assert matching_rules(with_detail(event, eventName="TagResource")) == []
    assert matching_rules(event | {"detail-type": "Secret Label Updated"}) == []
    assert matching_rules(event | {"source": "aws.other"}) == []


@rules
def test_a_rule_matches_exactly_the_operations_that_the_function_handles(rule: dict[str, Any]) -> None:
    pattern = rule["EventPattern"]
    [source] = pattern["detail"]["eventSource"]

    assert set(pattern["detail"]["eventName"]) == SOURCES[source].operations
    assert pattern["source"] == [f"aws.{source.partition('.')[0]}"]


def test_every_event_source_that_the_function_handles_has_one_rule() -> None:
    assert sorted(rule["EventPattern"]["detail"]["eventSource"][0] for rule in TRAIL_EVENT_RULES.values()) == sorted(SOURCES)


@rules
def test_a_rule_sends_events_to_the_queue_and_undeliverable_events_to_its_dead_letter_queue(rule: dict[str, Any]) -> None:
    [target] = rule["Targets"]

    assert target["Arn"] == {"Fn::GetAtt": "HintQueue.Arn"}
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": "HintRuleDeadLetters.Arn"}}


@pytest.mark.parametrize("queue", ["HintQueue", "HintRuleDeadLetters"])
def test_only_the_rules_can_send_messages_to_the_queues(queue: str) -> None:
    policies = [policy for policy in of_type("AWS::SQS::QueuePolicy").values() if policy["Queues"] == [{"Ref": queue}]]
    [statement] = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]

    assert (statement["Effect"], statement["Action"]) == ("Allow", "sqs:SendMessage")
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Resource"] == {"Fn::GetAtt": f"{queue}.Arn"}
    [arns] = statement["Condition"]["ArnEquals"].values()
    assert {arn["Fn::GetAtt"] for arn in arns} == RULE_ARNS


def test_a_message_is_received_at_least_five_times_before_it_moves_to_the_dead_letter_queue() -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
    assert QUEUE["VisibilityTimeout"] >= 6 * FUNCTION.get("Timeout", GLOBALS["Timeout"])
    assert QUEUE["RedrivePolicy"]["maxReceiveCount"] >= 5
    assert QUEUE["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": "HintQueueDeadLetters.Arn"}


def test_the_function_receives_batches_and_reports_the_messages_that_failed() -> None:
    assert of_type("AWS::Lambda::EventSourceMapping")["HintMapping"] == {
        "EventSourceArn": {"Fn::GetAtt": "HintQueue.Arn"},
        "FunctionName": {"Ref": "IdentifyAccessesFunction"},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BatchSize": 10,
    }


def test_own_roles_lists_every_role_whose_calls_the_function_ignores() -> None:
    """These are the roles that can make a call that counts only if another principal makes it."""
    ignored = {name.partition(".")[0]: source.operations - source.own_operations for name, source in SOURCES.items()}
    ignored_actions = {f"{service}:{operation}" for service, operations in ignored.items() for operation in operations}
    _, names = FUNCTION["Environment"]["Variables"]["OWN_ROLES"]["Fn::Join"]

    assert {name["Ref"] for name in names} == {
        f"{name}Role" for name, function in FUNCTIONS.items() if "Role" not in function and actions(function) & ignored_actions
    }
