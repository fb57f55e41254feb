"""subscriber.yaml gives a team the events of its tenant, in a queue or through a topic, and those of no other tenant."""

import json
from collections.abc import Callable
from typing import Any

from jsonschema import Draft202012Validator

from local_aws.tools.embedded_aws import Embedded, until
from tests.contract.artifacts import ROOT
from tests.workflow.onboarding import Onboarding
from tests.workflow.owned_resources import unique

TEMPLATE = (ROOT / "subscriber.yaml").read_text()


def deployed(aws: Embedded, **parameters: str) -> dict[str, str]:
    """The outputs of a new stack of the template."""
    client, name = aws.client("cloudformation"), unique("subscriber")
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    client.create_stack(StackName=name, TemplateBody=TEMPLATE, Parameters=given)

    def outputs() -> dict[str, str] | None:
        [stack] = client.describe_stacks(StackName=name)["Stacks"]
        assert not stack["StackStatus"].endswith(("FAILED", "ROLLBACK_COMPLETE")), stack
        found = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        return found if stack["StackStatus"] == "CREATE_COMPLETE" else None

    return until(outputs, f"the stack {name}") or {}


def reader(aws: Embedded, queue: str) -> Callable[[], list[dict[str, Any]]]:
    """Returns a function that reads the events in a queue."""
    client = aws.client("sqs")

    def read() -> list[dict[str, Any]]:
        messages = client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]

    return read


def test_a_queue_receives_the_outcomes_of_its_tenant_only(onboarding: Onboarding) -> None:
    own = deployed(onboarding.aws)
    other = deployed(onboarding.aws, Tenant="news")
    assert set(own) == {"QueueUrl", "DeadLettersUrl"}
    detail = onboarding.detail()

    outcome = onboarding.onboard(detail)

    read = reader(onboarding.aws, own["QueueUrl"])
    [event] = until(read, "the outcome in the queue of its team")
    assert (event["source"], event["detail-type"]) == ("latchkey", "Access Onboarded")
    assert event["detail"]["outcomeId"] == outcome["outcomeId"]
    assert reader(onboarding.aws, other["QueueUrl"])() == []


def subscribed(aws: Embedded, topic: str) -> str:
    """The URL of a new queue that receives what a topic publishes."""
    sqs = aws.client("sqs")
    queue: str = sqs.create_queue(QueueName=unique("people"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return queue


def test_a_topic_publishes_the_outcomes_of_its_tenant(onboarding: Onboarding) -> None:
    topic = deployed(onboarding.aws, Delivery="topic")
    assert set(topic) == {"TopicArn", "DeadLettersUrl"}
    queue = subscribed(onboarding.aws, topic["TopicArn"])
    detail = onboarding.detail()

    outcome = onboarding.onboard(detail)

    [notification] = until(reader(onboarding.aws, queue), "the outcome in a subscription of the topic")
    assert json.loads(notification["Message"])["detail"]["outcomeId"] == outcome["outcomeId"]


# https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
CUSTOM_NOTIFICATION = {
    "type": "object",
    "required": ["version", "source", "content"],
    "additionalProperties": False,
    "properties": {
        "version": {"const": "1.0"},
        "source": {"const": "custom"},
        "id": {"type": "string"},
        "content": {
            "type": "object",
            "required": ["description"],
            "additionalProperties": False,
            "properties": {
                "textType": {"const": "client-markdown"},
                "title": {"type": "string", "maxLength": 250},
                "description": {"type": "string", "minLength": 1, "maxLength": 8000},
                "nextSteps": {"type": "array", "items": {"type": "string"}},
            },
        },
        "metadata": {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: {"type": "string"} for name in ("threadId", "summary", "eventType")},
        },
    },
}


def test_a_channel_gets_what_people_act_on_as_custom_notifications(onboarding: Onboarding) -> None:
    chat = deployed(onboarding.aws, Delivery="chat")
    deployed(onboarding.aws, Delivery="chat", Tenant="news")
    posted = reader(onboarding.aws, subscribed(onboarding.aws, chat["TopicArn"]))
    onboarding.onboard(onboarding.detail())
    detail = onboarding.detail()

    handed_off = onboarding.hand_off(detail | {"resource": detail["resource"] | {"configure": False}})

    [notification] = until(posted, "the notification")
    message = json.loads(notification["Message"])
    Draft202012Validator(CUSTOM_NOTIFICATION).validate(message)
    access_id = handed_off["accessId"]
    assert (message["id"], message["metadata"]["threadId"]) == (handed_off["outcomeId"], access_id)
    assert message["content"]["title"] == f"Access Handed Off: {access_id}"
    assert f"latchkey describe {access_id}" in message["content"]["nextSteps"][0]
    assert "<" not in notification["Message"]
