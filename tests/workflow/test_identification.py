"""An event about a location, a secret or a key starts a clean-up of every affected access and of no other."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from local_aws.tools.embedded_aws import Embedded, until
from tests.workflow.onboarding import Onboarding

HOST = {"HttpConfiguration": {"BaseUrl": "https://origin.example.com"}}


class CleanUps:
    """The executions of the clean-up machine that events started."""

    def __init__(self, onboarding: Onboarding) -> None:
        self._onboarding, self._mediatailor, self.sqs = onboarding, onboarding.mediatailor, onboarding.aws.client("sqs")
        self.queue, self._table = physical_id(onboarding.aws, "HintQueue"), physical_id(onboarding.aws, "AccessTable")
        self._inputs: dict[str, dict[str, Any]] = {}

    def of(self, access_id: str) -> list[dict[str, Any]]:
        """Returns the inputs of the executions for an access."""
        stepfunctions = self._onboarding.aws.client("stepfunctions")
        for execution in self._onboarding.executions("CleanUp"):
            if (arn := execution["executionArn"]) not in self._inputs:
                self._inputs[arn] = json.loads(stepfunctions.describe_execution(executionArn=arn)["input"])
        return [found for found in self._inputs.values() if found["accessId"] == access_id]

    def events(self, access_id: str) -> list[str]:
        """Returns the events that started clean-ups of an access, once all earlier events are processed."""
        self._settle()
        return sorted(content["hint"]["eventName"] for content in self.of(access_id))

    def _settle(self) -> None:
        """Waits for the clean-up of a new access. Its event comes after all earlier events, because the trail is in order."""
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
def test_deleted_location_is_cleaned_up(onboarding: Onboarding, clean_ups: CleanUps, assume: Any, case: str) -> None:
    assume(trailMemberCase=case)
    detail = onboarding.detail()
    onboarding.onboard(detail)
    name = detail["resource"]["sourceLocation"]
    assert clean_ups.events(access(name)) == [], "what an onboarding does itself is no hint"

    onboarding.mediatailor.delete_source_location(SourceLocationName=name)

    assert clean_ups.events(access(name)) == ["DeleteSourceLocation"]


def test_duplicate_event_starts_one_clean_up(onboarding: Onboarding, clean_ups: CleanUps, assume: Any) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    name = detail["resource"]["sourceLocation"]
    onboarding.aws.control("DELETE", "calls")
    assume(trail={"duplicate": 1})

    onboarding.mediatailor.delete_source_location(SourceLocationName=name)

    first = clean_ups.events(access(name))
    until(lambda: _started(onboarding.aws) == 6, "both copies of this event, and both of the two last")
    assert (first, len(clean_ups.of(access(name)))) == (["DeleteSourceLocation"], 1)


def test_unmanaged_location_starts_no_clean_up(onboarding: Onboarding, clean_ups: CleanUps) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    ours = detail["resource"]["sourceLocation"]
    theirs = [f"{ours}-2", ours[:-1]]

    for name in theirs:
        onboarding.mediatailor.create_source_location(SourceLocationName=name, **HOST)
        onboarding.mediatailor.delete_source_location(SourceLocationName=name)

    assert [clean_ups.events(access(name)) for name in (ours, *theirs)] == [[], [], []]


def test_secret_events_affect_its_accesses_and_key_events_affect_all_accesses(
    onboarding: Onboarding, clean_ups: CleanUps
) -> None:
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


def test_update_by_latchkey_starts_a_clean_up(onboarding: Onboarding, clean_ups: CleanUps) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    name = detail["resource"]["sourceLocation"]

    onboarding.onboard(onboarding.detail(name, key=detail["key"], resource=detail["resource"] | {"header": "X-Other"}))

    assert clean_ups.events(access(name)) == ["UpdateSourceLocation"]


@pytest.fixture
def impatient(clean_ups: CleanUps) -> Iterator[None]:
    """Failed messages are received again after a second instead of minutes."""
    given = clean_ups.sqs.get_queue_attributes(QueueUrl=clean_ups.queue, AttributeNames=["VisibilityTimeout"])["Attributes"]
    clean_ups.sqs.set_queue_attributes(QueueUrl=clean_ups.queue, Attributes={"VisibilityTimeout": "1"})
    yield
    clean_ups.sqs.set_queue_attributes(QueueUrl=clean_ups.queue, Attributes=given)


def test_event_that_cannot_be_processed_is_a_dead_letter(onboarding: Onboarding, clean_ups: CleanUps, impatient: None) -> None:
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


def test_short_throttling_loses_no_event(onboarding: Onboarding, clean_ups: CleanUps) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    for service, operation in (("dynamodb", "GetItem"), ("stepfunctions", "StartExecution")):
        fault = {"service": service, "operation": operation, "error": "ThrottlingException", "status": 400, "times": 2}
        onboarding.aws.control("POST", "faults", fault)
    name = detail["resource"]["sourceLocation"]

    onboarding.mediatailor.delete_source_location(SourceLocationName=name)

    assert clean_ups.events(access(name)) == ["DeleteSourceLocation"]


def _started(aws: Embedded) -> int:
    """Returns how many executions identify_accesses has started."""
    calls = [call for call in aws.control("GET", "calls") if "IdentifyAccesses" in call["principal"]]
    return sum(call["count"] for call in calls if call["operation"] == "StartExecution")
