"""Event source mappings: failed messages are retried and become dead letters, and mappings require permissions."""

import json
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded, until
from tests.local_aws.gap_account import Account, allow, error_code

INVALID = "InvalidParameterValueException"
READING = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
# Reports messages as failed if their body says so.
PICKY = """
def lambda_handler(event, context):
    failed = [record["messageId"] for record in event["Records"] if record["body"] == "fail"]
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}
"""


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


def queue(account: Account, **attributes: str) -> tuple[str, str]:
    """Creates a queue with a visibility timeout of three seconds. Returns its URL and ARN."""
    name = account.unique("source")
    made = account.client("sqs").create_queue(QueueName=name, Attributes={"VisibilityTimeout": "3"} | attributes)
    return str(made["QueueUrl"]), f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"


def reader(account: Account, arn: str, actions: list[str] = READING, service: str = "lambda.amazonaws.com") -> str:
    """Creates a function that can receive messages from the queue."""
    return account.function(PICKY, account.role(allow(actions, arn), service=service).arn)


def mapping(function: str, arn: str) -> dict[str, Any]:
    return {"FunctionName": function, "EventSourceArn": arn, "FunctionResponseTypes": ["ReportBatchItemFailures"]}


def test_failed_messages_become_dead_letters_and_others_are_deleted(account: Account) -> None:
    sqs = account.client("sqs")
    dead_url, dead_arn = queue(account)
    policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    url, arn = queue(account, RedrivePolicy=policy)
    for body in ("pass", "fail", "pass"):
        sqs.send_message(QueueUrl=url, MessageBody=body)

    account.client("lambda").create_event_source_mapping(**mapping(reader(account, arn), arn))

    [letter] = until(lambda: sqs.receive_message(QueueUrl=dead_url, MaxNumberOfMessages=10).get("Messages", []), "it", 30)
    assert letter["Body"] == "fail"
    left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (left["ApproximateNumberOfMessages"], left["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")


@pytest.mark.parametrize("missing", READING)
def test_mapping_without_permission_on_the_queue_is_rejected(account: Account, missing: str) -> None:
    _, arn = queue(account)
    function = reader(account, arn, [action for action in READING if action != missing])

    assert error_code(account.client("lambda").create_event_source_mapping, **mapping(function, arn)) == INVALID


def test_mapping_with_a_role_that_lambda_cannot_assume_is_rejected(account: Account) -> None:
    _, arn = queue(account)

    create = account.client("lambda").create_event_source_mapping
    assert error_code(create, **mapping(reader(account, arn, service="states.amazonaws.com"), arn)) == INVALID


def test_mapping_with_a_visibility_timeout_below_the_function_timeout_is_rejected(account: Account) -> None:
    _, arn = queue(account, VisibilityTimeout="2")

    assert error_code(account.client("lambda").create_event_source_mapping, **mapping(reader(account, arn), arn)) == INVALID


def test_stack_with_an_invalid_mapping_fails(account: Account) -> None:
    _, arn = queue(account)
    properties = mapping(reader(account, arn, READING[:2]), arn)

    with pytest.raises(AssertionError, match="permissions to call ReceiveMessage on SQS"):
        account.deploy({"Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": properties}})


def test_stack_with_a_valid_mapping_is_created(account: Account) -> None:
    _, arn = queue(account)

    account.deploy({"Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": mapping(reader(account, arn), arn)}})

    found = account.client("lambda").list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
    assert [one["FunctionResponseTypes"] for one in found] == [["ReportBatchItemFailures"]]


STREAMING = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"]


@pytest.mark.parametrize("missing", [None, *STREAMING])
def test_mapping_without_permission_on_the_stream_is_rejected(account: Account, missing: str | None) -> None:
    table = account.client("dynamodb").create_table(
        TableName=account.unique("streamed"),
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    arn = table["LatestStreamArn"]
    function = reader(account, arn, [action for action in STREAMING if action != missing])
    create = account.client("lambda").create_event_source_mapping
    wanted = {"FunctionName": function, "EventSourceArn": arn, "StartingPosition": "TRIM_HORIZON"}

    if missing:
        assert error_code(create, **wanted) == INVALID
    else:
        assert create(**wanted)["EventSourceArn"] == arn
