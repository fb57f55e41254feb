"""What happens to a location, a secret or a key reaches the clean-up of every access it concerns, and of no other."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from local_aws.tools.embedded_aws import Embedded, until
from tests.workflow.conftest import Onboarding

HOST = {"HttpConfiguration": {"BaseUrl": "https://origin.example.com"}}


class CleanUps:
    """The executions of the clean-up machine, as hints start them."""

    def __init__(self, onboarding: Onboarding) -> None:
        self._onboarding, self._mediatailor, self.sqs = onboarding, onboarding.mediatailor, onboarding.aws.client("sqs")
        self.queue, self._table = physical_id(onboarding.aws, "HintQueue"), physical_id(onboarding.aws, "AccessTable")

    def of(self, access_id: str) -> list[dict[str, Any]]:
        """The inputs of the executions for an access."""
        stepfunctions = self._onboarding.aws.client("stepfunctions")
        arns = [execution["executionArn"] for execution in self._onboarding.executions("CleanUp")]
        told = [json.loads(stepfunctions.describe_execution(executionArn=arn)["input"]) for arn in arns]
        return [content for content in told if content["accessId"] == access_id]

    def events(self, access_id: str) -> list[str]:
        """The events for which an access is cleaned up, once all hints given so far have been followed."""
        self._settle()
        return sorted(content["hint"]["eventName"] for content in self.of(access_id))

    def _settle(self) -> None:
        """The trail is in order: what comes last here is an event about an access of which next to nothing is known."""
        name = f"last-{uuid.uuid4().hex[:8]}"
        item = {"kind": {"S": "access"}, "id": {"S": access(name)}, "note": {"S": "made by a test"}}
        self._onboarding.aws.client("dynamodb").put_item(TableName=self._table, Item=item)
        self._mediatailor.create_source_location(SourceLocationName=name, **HOST)
        self._mediatailor.delete_source_location(SourceLocationName=name)
        until(lambda: self.of(access(name)), "the last hint", 60)
        until(self._is_empty, "the hints before it", 60)

    def _is_empty(self) -> bool:
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["All"])["Attributes"]
        return bool(found["ApproximateNumberOfMessages"] == found["ApproximateNumberOfMessagesNotVisible"] == "0")


def access(name: str) -> str:
    return f"mediatailor/sourceLocation/{name}"


def physical_id(aws: Embedded, logical_id: str) -> str:
    found = aws.client("cloudformation").describe_stack_resource(StackName="latchkey", LogicalResourceId=logical_id)
    physical: str = found["StackResourceDetail"]["PhysicalResourceId"]
    return physical


@pytest.fixture
def clean_ups(onboarding: Onboarding) -> CleanUps:
    return CleanUps(onboarding)


@pytest.mark.parametrize("case", ["pascal", "camel"])
def test_a_deleted_location_is_cleaned_up_after(onboarding: Onboarding, clean_ups: CleanUps, assume: Any, case: str) -> None:
    assume(trailMemberCase=case)
    detail = onboarding.detail()
    onboarding.onboard(detail)
    name = detail["resource"]["sourceLocation"]
    assert clean_ups.events(access(name)) == [], "what an onboarding does itself is no hint"

    onboarding.mediatailor.delete_source_location(SourceLocationName=name)

    assert clean_ups.events(access(name)) == ["DeleteSourceLocation"]


def test_an_event_that_comes_twice_starts_one_clean_up(onboarding: Onboarding, clean_ups: CleanUps, assume: Any) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    name = detail["resource"]["sourceLocation"]
    onboarding.aws.control("DELETE", "calls")
    assume(trail={"duplicate": 1})

    onboarding.mediatailor.delete_source_location(SourceLocationName=name)

    first = clean_ups.events(access(name))
    until(lambda: _started(onboarding.aws) == 6, "both copies of this event, and both of the two last")
    assert (first, len(clean_ups.of(access(name)))) == (["DeleteSourceLocation"], 1)


def test_a_location_of_somebody_else_starts_nothing(onboarding: Onboarding, clean_ups: CleanUps) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    ours = detail["resource"]["sourceLocation"]
    theirs = [f"{ours}-2", ours[:-1]]

    for name in theirs:
        onboarding.mediatailor.create_source_location(SourceLocationName=name, **HOST)
        onboarding.mediatailor.delete_source_location(SourceLocationName=name)

    assert [clean_ups.events(access(name)) for name in (ours, *theirs)] == [[], [], []]


def test_a_secret_is_of_its_accesses_and_a_key_of_all_that_share_it(onboarding: Onboarding, clean_ups: CleanUps) -> None:
    first, second = onboarding.detail(), onboarding.detail()
    second["key"] = first["key"]
    resources = onboarding.onboard(first)["resources"]
    onboarding.onboard(second)
    ids = [access(detail["resource"]["sourceLocation"]) for detail in (first, second)]

    onboarding.secretsmanager.delete_resource_policy(SecretId=resources["secretArn"])
    onboarding.kms.disable_key(KeyId=resources["keyArn"].rpartition("/")[2])
    onboarding.kms.enable_key(KeyId=resources["keyArn"])

    assert [clean_ups.events(access_id) for access_id in ids] == [
        ["DeleteResourcePolicy", "DisableKey", "EnableKey"],
        ["DisableKey", "EnableKey"],
    ]


def test_what_we_do_to_a_location_is_a_hint(onboarding: Onboarding, clean_ups: CleanUps) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    name = detail["resource"]["sourceLocation"]

    onboarding.onboard(onboarding.detail(name, key=detail["key"], resource=detail["resource"] | {"header": "X-Other"}))

    assert clean_ups.events(access(name)) == ["UpdateSourceLocation"]


@pytest.fixture
def impatient(clean_ups: CleanUps) -> Iterator[None]:
    """Messages that failed come again after a second instead of minutes."""
    given = clean_ups.sqs.get_queue_attributes(QueueUrl=clean_ups.queue, AttributeNames=["VisibilityTimeout"])["Attributes"]
    clean_ups.sqs.set_queue_attributes(QueueUrl=clean_ups.queue, Attributes={"VisibilityTimeout": "1"})
    yield
    clean_ups.sqs.set_queue_attributes(QueueUrl=clean_ups.queue, Attributes=given)


def test_a_hint_that_cannot_be_followed_waits_in_the_queue(
    onboarding: Onboarding, clean_ups: CleanUps, impatient: None
) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    name, letters = detail["resource"]["sourceLocation"], physical_id(onboarding.aws, "HintQueueDeadLetters")
    fault = {"service": "stepfunctions", "operation": "StartExecution", "error": "AccessDeniedException", "status": 403}
    onboarding.aws.control("POST", "faults", fault | {"times": 100, "when": "before"})

    onboarding.mediatailor.delete_source_location(SourceLocationName=name)

    [letter] = until(lambda: clean_ups.sqs.receive_message(QueueUrl=letters).get("Messages", []), "the dead letter", 60)
    assert json.loads(letter["Body"])["detail"]["requestParameters"] == {"SourceLocationName": name}
    assert clean_ups.of(access(name)) == []
    clean_ups.sqs.delete_message(QueueUrl=letters, ReceiptHandle=letter["ReceiptHandle"])


def test_short_throttling_loses_no_hint(onboarding: Onboarding, clean_ups: CleanUps) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    for service, operation in (("dynamodb", "GetItem"), ("stepfunctions", "StartExecution")):
        fault = {"service": service, "operation": operation, "error": "ThrottlingException", "status": 400, "times": 2}
        onboarding.aws.control("POST", "faults", fault)
    name = detail["resource"]["sourceLocation"]

    onboarding.mediatailor.delete_source_location(SourceLocationName=name)

    assert clean_ups.events(access(name)) == ["DeleteSourceLocation"]


def _started(aws: Embedded) -> int:
    """How often identify_accesses has started an execution."""
    calls = [call for call in aws.control("GET", "calls") if "IdentifyAccesses" in call["principal"]]
    return sum(call["count"] for call in calls if call["operation"] == "StartExecution")
