"""The live check has a point or a reason for everything that AWS does not document, and its policy fits its template."""

import fnmatch
import inspect
import json
import re
from typing import Any

import pytest

from live_check import costs, unsettled
from live_check.asking import ask_all
from live_check.leftovers import KINDS
from live_check.points import POINTS, Point
from local_aws.emulator.assumptions import Assumptions
from tests.contract.artifacts import ROOT, load_template

POLICY: list[dict[str, Any]] = json.loads((ROOT / "live_check/policy.json").read_text())["Statement"]
STACK = load_template((ROOT / "live_check/template.yaml").read_text())
REGISTER = (ROOT / "docs/assumptions.md").read_text()
each_point = pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)

# What CloudFormation calls as the person who creates and deletes the stack: the handler permissions of each resource type,
# https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
HANDLERS = {
    "AWS::KMS::Key": "kms:CreateKey kms:DescribeKey kms:TagResource kms:PutKeyPolicy kms:EnableKeyRotation kms:GetKeyPolicy "
    "kms:GetKeyRotationStatus kms:ListResourceTags kms:ScheduleKeyDeletion",
    "AWS::SecretsManager::Secret": "secretsmanager:CreateSecret secretsmanager:DescribeSecret secretsmanager:TagResource "
    "secretsmanager:GetRandomPassword secretsmanager:DeleteSecret kms:GenerateDataKey kms:Decrypt",
    "AWS::IAM::Role": "iam:CreateRole iam:PutRolePolicy iam:GetRole iam:TagRole iam:DeleteRole iam:DeleteRolePolicy "
    "iam:ListRolePolicies iam:ListAttachedRolePolicies iam:GetRolePolicy",
    "AWS::IAM::Policy": "iam:PutRolePolicy iam:GetRolePolicy iam:DeleteRolePolicy",
    "AWS::Events::EventBus": "events:CreateEventBus events:DescribeEventBus events:TagResource events:ListTagsForResource "
    "events:DeleteEventBus",
    "AWS::Events::Rule": "events:PutRule events:DescribeRule events:PutTargets events:ListTargetsByRule events:RemoveTargets "
    "events:DeleteRule",
    "AWS::SQS::Queue": "sqs:CreateQueue sqs:GetQueueUrl sqs:GetQueueAttributes sqs:ListQueueTags sqs:TagQueue sqs:DeleteQueue",
    "AWS::SQS::QueuePolicy": "sqs:SetQueueAttributes",
}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed(action: str) -> bool:
    patterns = [pattern for statement in POLICY for pattern in listed(statement["Action"])]
    return any(fnmatch.fnmatchcase(action, pattern) for pattern in patterns)


def registered() -> set[str]:
    """Returns the numbers of the entries of the register."""
    return set(re.findall(r"^\| ([MPA]\d+) \|", REGISTER, re.MULTILINE))


def test_every_switch_has_a_point_or_a_reason() -> None:
    settled = {point.switch.partition(".")[0] for point in POINTS if point.switch}
    declared = {field.alias or name for name, field in Assumptions.model_fields.items()}

    assert settled | unsettled.SWITCHES.keys() == declared
    assert not settled & unsettled.SWITCHES.keys()


def test_every_entry_of_the_register_has_a_point_or_a_reason() -> None:
    asked = {point.register for point in POINTS}

    assert asked | unsettled.POINTS.keys() == registered()
    assert not asked & unsettled.POINTS.keys()


@each_point
def test_a_point_says_what_is_asked_what_is_seen_and_where_the_subject_is_documented(point: Point) -> None:
    text = inspect.getdoc(point.ask) or ""

    assert point.question.endswith("?")
    assert len(point.question) < 150
    assert "Seen: " in text
    assert point.source.startswith("https://docs.aws.amazon.com/")


@each_point
def test_the_register_names_the_switch_of_a_point(point: Point) -> None:
    [row] = re.findall(rf"^\| {point.register} \|.*$", REGISTER, re.MULTILINE)

    assert point.switch is None or f"`{point.switch.partition('.')[0]}`" in row


def test_names_of_points_are_unique() -> None:
    assert len({point.name for point in POINTS}) == len(POINTS)
    assert inspect.isfunction(ask_all)


def test_the_policy_fits_a_managed_policy() -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: without white space."""
    assert len(re.sub(r"\s", "", (ROOT / "live_check/policy.json").read_text())) <= 6144


def test_the_policy_allows_what_the_resources_of_the_template_need() -> None:
    types = {resource["Type"] for resource in STACK["Resources"].values()}

    assert types == HANDLERS.keys()
    missing = [action for kind in types for action in HANDLERS[kind].split() if not allowed(action)]
    assert missing == []


def test_the_policy_is_limited_by_resource_or_condition_where_it_changes_something() -> None:
    """Creations that have no resource type, and TagResource of random ids, are the exceptions."""
    without = [statement for statement in POLICY if statement["Resource"] == "*" and "Condition" not in statement]

    verbs = {action.partition(":")[2] for statement in without for action in statement["Action"]}
    changing = {verb for verb in verbs if not re.match("List|Get|BatchGet", verb)}
    assert {verb for verb in changing if not verb.startswith("Create")} <= {"TagResource"}


def test_roles_are_created_only_with_the_policy_as_boundary() -> None:
    statements = [
        statement for statement in POLICY if {"iam:CreateRole", "iam:PutRolePolicy"} & set(listed(statement["Action"]))
    ]

    assert all("iam:PermissionsBoundary" in str(statement["Condition"]) for statement in statements)
    roles = [resource for resource in STACK["Resources"].values() if resource["Type"] == "AWS::IAM::Role"]
    assert all("PermissionsBoundary" in role["Properties"] for role in roles)


def test_everything_in_the_template_is_tagged_and_deleted_with_the_stack() -> None:
    untaggable = {"AWS::IAM::Policy", "AWS::Events::Rule", "AWS::SQS::QueuePolicy"}
    for name, resource in STACK["Resources"].items():
        assert "DeletionPolicy" not in resource, name
        assert resource["Type"] in untaggable or resource["Properties"]["Tags"], name
        if resource["Type"] == "AWS::KMS::Key":
            assert resource["Properties"]["PendingWindowInDays"] == 7


def test_the_costs_count_what_the_template_creates() -> None:
    types = [resource["Type"] for resource in STACK["Resources"].values()]

    assert types.count("AWS::KMS::Key") == costs.KEYS
    assert types.count("AWS::SecretsManager::Secret") <= costs.SECRETS
    assert costs.estimate(1.5) < 0.05


def test_the_stack_is_removed_after_what_uses_it() -> None:
    kinds = [kind.name for kind in KINDS]

    assert kinds.index("stack") > max(
        kinds.index(name) for name in ("source location", "origin endpoint", "channel group", "flow")
    )
