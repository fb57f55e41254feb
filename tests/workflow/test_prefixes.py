"""An update of the deployed stack that takes services their secrets fails before it changes the boundary of their roles."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local_aws.tools.embedded_aws import STACK, Embedded, until
from local_aws.tools.outcomes import Outcomes
from tests.workflow.consumer_resources import mediapackage
from tests.workflow.onboarding import Onboarding
from tests.workflow.policy_forms import in_order

OTHER = {"SecretPrefix": "other/"}
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]


class Stack:
    """The deployed stack, whose parameters a test changes."""

    def __init__(self, aws: Embedded) -> None:
        self.aws, self._client = aws, aws.client("cloudformation")
        self._boundary = self._named("ReaderBoundary")

    def update(self, values: dict[str, str]) -> tuple[str, list[dict[str, Any]]]:
        """Returns the status after an update, and the events of the update from its beginning."""
        known = {event["EventId"] for event in self._events()}
        names = [parameter["ParameterKey"] for parameter in self._stack()["Parameters"]]
        parameters = [
            {"ParameterKey": name, "ParameterValue": values[name]}
            if name in values
            else {"ParameterKey": name, "UsePreviousValue": True}
            for name in names
        ]
        self._client.update_stack(StackName=STACK, UsePreviousTemplate=True, Capabilities=_CAPABILITIES, Parameters=parameters)
        until(lambda: not self._stack()["StackStatus"].endswith("_IN_PROGRESS"), "the end of the update", 180)
        return self._stack()["StackStatus"], [event for event in self._events() if event["EventId"] not in known][::-1]

    def boundary(self) -> list[tuple[str, Any]]:
        """Every version of the boundary, and the default one."""
        iam = self.aws.client("iam")
        versions = iam.list_policy_versions(PolicyArn=self._boundary)["Versions"]
        documents = [iam.get_policy_version(PolicyArn=self._boundary, VersionId=one["VersionId"]) for one in versions]
        return [(one["PolicyVersion"]["VersionId"], in_order(one["PolicyVersion"]["Document"])) for one in documents]

    def observe(self, access_id: str) -> None:
        """Starts a cleanup, as docs/operate.md says."""
        asked = json.dumps({"accessId": access_id, "keys": [], "hint": None})
        machine = self._named("CleanUpStateMachine")
        self.aws.client("stepfunctions").start_execution(stateMachineArn=machine, input=asked)

    def status_of(self, access_id: str) -> str:
        key = {"kind": {"S": "access"}, "id": {"S": access_id}}
        found = self.aws.client("dynamodb").get_item(TableName=self._named("AccessTable"), Key=key)
        return str(found["Item"]["status"]["S"])

    def _named(self, logical_id: str) -> str:
        found = self._client.describe_stack_resource(StackName=STACK, LogicalResourceId=logical_id)
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def _stack(self) -> dict[str, Any]:
        [found] = self._client.describe_stacks(StackName=STACK)["Stacks"]
        return dict(found)

    def _events(self) -> list[dict[str, Any]]:
        return list(self._client.describe_stack_events(StackName=STACK)["StackEvents"])


@pytest.fixture
def aws() -> Iterator[Embedded]:
    """An account of its own, because an update cannot be undone by a checkpoint."""
    with Embedded(deploy=True) as running:
        yield running


def test_a_change_is_refused_while_an_access_needs_the_prefix_and_accepted_when_none_does(aws: Embedded) -> None:
    stack, onboarding, consumer = Stack(aws), Onboarding(aws, Outcomes(aws)), mediapackage(aws)
    made = onboarding.onboard(consumer.detail)
    access_id, before = made["accessId"], stack.boundary()
    assert before

    status, events = stack.update(OTHER)

    assert status == "UPDATE_ROLLBACK_COMPLETE"
    [failed] = [event for event in events if event["ResourceStatus"] == "UPDATE_FAILED"]
    assert failed["LogicalResourceId"] == "SecretPrefixes"
    assert access_id in failed["ResourceStatusReason"]
    assert "ReaderBoundary" not in {event["LogicalResourceId"] for event in events}
    # A policy keeps its former versions, so a change of the boundary in the meantime would show.
    assert stack.boundary() == before
    assert onboarding.onboard(consumer.detail | {"requestId": "after-the-refusal"})["status"] == "unchanged"

    aws.client("mediapackage").delete_origin_endpoint(Id=consumer.name)
    stack.observe(access_id)
    until(lambda: stack.status_of(access_id) == "gone", "the observed status")
    status, events = stack.update(OTHER)

    assert status == "UPDATE_COMPLETE"
    assert "other/" in json.dumps(stack.boundary())


def test_shorter_prefixes_are_accepted(aws: Embedded) -> None:
    stack, onboarding, consumer = Stack(aws), Onboarding(aws, Outcomes(aws)), mediapackage(aws)
    onboarding.onboard(consumer.detail)

    status, _ = stack.update({"SecretPrefix": "latch"})

    assert status == "UPDATE_COMPLETE"
    assert onboarding.onboard(consumer.detail | {"requestId": "after-the-update"})["status"] == "unchanged"
