"""The schedule of a former stack started the sweep alone. After an update it starts reconciliations, and nothing is renamed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local_aws.tools.deployment import BUCKET
from local_aws.tools.embedded_aws import STACK, Embedded, until
from local_aws.tools.outcomes import Outcomes
from tests.workflow.onboarding import Onboarding

pytestmark = pytest.mark.long
SCHEDULED = {"id": "event-1", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}
_WAITING = {"Delay": 1, "MaxAttempts": 120}

Template = dict[str, Any]


@pytest.fixture
def upgraded() -> Iterator[Embedded]:
    """An account of its own, because the stack is updated."""
    with Embedded(deploy=True, hurried=True) as aws:
        yield aws


def packaged(aws: Embedded) -> Template:
    """The template that was deployed last."""
    s3 = aws.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"] if one["Key"].endswith(".template")]
    texts = [s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() for key in keys]
    # The templates of nested applications are there as well, in YAML.
    templates: list[Template] = [json.loads(text) for text in texts if text.startswith("{")]
    [found] = [one for one in templates if "ReconcileStateMachine" in one["Resources"]]
    return found


def former(template: Template) -> Template:
    """The template with the schedule of version 0.2.0, which started the function of the sweep."""
    text = json.dumps(template).replace("ReconcileStateMachineSweepIsDue", "SweepGrantsFunctionSweepIsDue")
    changed: Template = json.loads(text)
    machine, function = (changed["Resources"][name]["Properties"] for name in ("ReconcileStateMachine", "SweepGrantsFunction"))
    schedule = machine["Events"].pop("SweepIsDue")
    del schedule["Properties"]["Input"]
    function["Events"] = {"SweepIsDue": schedule} | function.get("Events", {})
    return changed


def update(aws: Embedded, template: Template, name: str) -> None:
    """Updates the stack to a template, with its present parameters."""
    cloudformation = aws.client("cloudformation")
    [stack] = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    known = [{"ParameterKey": one["ParameterKey"], "UsePreviousValue": True} for one in stack["Parameters"]]
    aws.client("s3").put_object(Bucket=BUCKET, Key=f"{name}.json", Body=json.dumps(template).encode())
    change = {"StackName": STACK, "ChangeSetName": name}
    url, able = f"{aws.url}/{BUCKET}/{name}.json", stack["Capabilities"]
    cloudformation.create_change_set(**change, ChangeSetType="UPDATE", TemplateURL=url, Parameters=known, Capabilities=able)
    cloudformation.get_waiter("change_set_create_complete").wait(**change, WaiterConfig=_WAITING)
    cloudformation.execute_change_set(**change)
    cloudformation.get_waiter("stack_update_complete").wait(StackName=STACK, WaiterConfig=_WAITING)


def scheduled_targets(aws: Embedded) -> list[Any]:
    """The targets of all rules with a schedule for the sweep or the reconciliation."""
    events = aws.client("events")
    rules = [one["Name"] for one in events.list_rules()["Rules"] if "SweepIsDue" in one["Name"]]
    return [target for rule in rules for target in events.list_targets_by_rule(Rule=rule)["Targets"]]


def names(aws: Embedded) -> dict[str, str]:
    """The physical by the logical names of everything but the schedule."""
    pages = aws.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
    found = {one["LogicalResourceId"]: one["PhysicalResourceId"] for page in pages for one in page["StackResourceSummaries"]}
    return {logical: name for logical, name in found.items() if "SweepIsDue" not in logical}


def test_the_schedule_of_a_former_stack_starts_reconciliations_after_the_update(upgraded: Embedded) -> None:
    present, outcomes = packaged(upgraded), Outcomes(upgraded)
    onboarding = Onboarding(upgraded, outcomes)
    upgraded.control("PUT", "assumptions", {"trail": {"lose": 1}})
    update(upgraded, former(present), "former")
    [target] = scheduled_targets(upgraded)
    assert "SweepGrantsFunction" in target["Arn"]
    access = onboarding.onboard(onboarding.detail())
    onboarding.kms.disable_key_rotation(KeyId=access["resources"]["keyArn"])
    before = names(upgraded)

    update(upgraded, present, "present")

    [target] = scheduled_targets(upgraded)
    assert "ReconcileStateMachine" in target["Arn"]
    assert names(upgraded) == before
    onboarding.start_reconciliation()
    until(lambda: onboarding.executions("Reconcile", statusFilter="SUCCEEDED"), "the reconciliation", 60)
    events = [event for event in outcomes.all() if event["detail-type"] == "Drift Detected"]
    assert [one["kind"] for event in events for one in event["detail"]["findings"]] == ["key-rotation-off"]
    # The former rule can have delivered an event before the update.
    answer = upgraded.client("lambda").invoke(FunctionName=before["SweepGrantsFunction"], Payload=json.dumps(SCHEDULED))
    assert "FunctionError" not in answer, answer["Payload"].read()
