"""A request that cannot be delivered is kept in a dead-letter queue with an alarm."""

import json
from typing import Any

from local_aws.tools.embedded_aws import Embedded, until
from tests.workflow.onboarding import Onboarding


def _queue(aws: Embedded) -> str:
    found = aws.client("cloudformation").describe_stack_resource(StackName="latchkey", LogicalResourceId="RequestDeadLetters")
    url: str = found["StackResourceDetail"]["PhysicalResourceId"]
    return url


def test_request_whose_execution_cannot_start_is_a_dead_letter_and_can_be_resent(onboarding: Onboarding) -> None:
    sqs, url = onboarding.aws.client("sqs"), _queue(onboarding.aws)
    fault = {"service": "stepfunctions", "operation": "StartExecution", "error": "AccessDeniedException", "status": 403}
    onboarding.aws.control("POST", "faults", fault | {"times": 100, "when": "before"})
    detail = onboarding.detail()
    del detail["requestId"]

    event_id = onboarding.put(detail)

    def arrived() -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = sqs.receive_message(QueueUrl=url).get("Messages", [])
        return answer

    (message,) = until(arrived, "the dead letter", 60)
    waiting = json.loads(message["Body"])["requestPayload"]
    assert (waiting["id"], waiting["detail"]) == (event_id, detail)
    assert onboarding.outcomes.of(event_id) == []
    alarms = onboarding.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    watched = {dimension["Value"] for alarm in alarms for dimension in alarm.get("Dimensions", [])}
    assert url.rsplit("/", 1)[1] in watched
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    onboarding.aws.control("DELETE", "faults")
    assert onboarding.onboard(waiting["detail"] | {"requestId": waiting["id"]})["requestId"] == event_id


def test_short_throttling_delays_no_request(onboarding: Onboarding) -> None:
    for service, operation, error in (
        ("kms", "CreateKey", "ThrottlingException"),
        ("secretsmanager", "CreateSecret", "ThrottlingException"),
        ("mediatailor", "CreateSourceLocation", "TooManyRequestsException"),
    ):
        fault = {"service": service, "operation": operation, "error": error, "status": 429, "times": 2, "when": "before"}
        onboarding.aws.control("POST", "faults", fault)

    assert onboarding.onboard(onboarding.detail())["status"] == "active"
