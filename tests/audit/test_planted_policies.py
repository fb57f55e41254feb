"""A wrong action, resource, condition key, or operator in a policy is found, wherever the policy is."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from tests.audit.conftest import Plant
from tools.audit import calls, conditions
from tools.audit.policies import Policy

SOURCE = {"events:source": ["latchkey.requests.sports"]}
WINDOW = "kms:ScheduleKeyDeletionPendingWindowInDays"
SENDER: dict[str, Any] = {
    "Effect": "Allow",
    "Action": "events:PutEvents",
    "Resource": "arn:aws:events:us-east-1:111122223333:event-bus/latchkey-requests",
    "Condition": {"ForAllValues:StringEquals": SOURCE, "Null": {"events:source": "false"}},
}
DELETION: dict[str, Any] = {
    "Effect": "Allow",
    "Action": "kms:ScheduleKeyDeletion",
    "Resource": "arn:aws:kms:eu-west-1:111122223333:key/*",
    "Condition": {"NumericGreaterThanEquals": {WINDOW: "7"}},
}


RIGHT = {"sender": SENDER, "deletion": DELETION}
# The rule that each statement breaks.
WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "unknown action": ("action", DELETION | {"Action": "kms:ScheduleKeyRemoval"}),
    "unknown service": ("action", DELETION | {"Action": "kmss:ScheduleKeyDeletion"}),
    "pattern of no action": ("action", DELETION | {"Action": "kms:Schedule?"}),
    "other resource type": ("resource", DELETION | {"Resource": "arn:aws:kms:eu-west-1:111122223333:alias/*"}),
    "resource of another service": ("resource", DELETION | {"Resource": "arn:aws:s3:::bucket"}),
    "resource of an action without one": ("resource", DELETION | {"Action": "kms:ListKeys", "Condition": {}}),
    "key of only one of the resources": (
        "key",
        {
            "Effect": "Allow",
            "Action": "kms:DeleteAlias",
            "Resource": ["arn:aws:kms:eu-west-1:111122223333:key/*", "arn:aws:kms:eu-west-1:111122223333:alias/*"],
            "Condition": {"StringEquals": {"aws:ResourceTag/team": "sports"}},
        },
    ),
    "one resource too many": ("resource", DELETION | {"Resource": [DELETION["Resource"], "arn:aws:s3:::bucket"]}),
} | {
    name: (rule, base | {"Condition": condition})
    for name, rule, base, condition in (
        ("unknown key", "key", DELETION, {"StringEquals": {"kms:NoSuchKey": "x"}}),
        ("unknown global key", "key", DELETION, {"StringEquals": {"aws:NoSuchKey": "x"}}),
        ("key of another action", "key", DELETION, {"StringEquals": {"kms:EncryptionContext:SecretARN": "x"}}),
        ("key of another service", "key", DELETION, {"Bool": {"secretsmanager:BlockPublicPolicy": "true"}}),
        ("tag of a request without tags", "key", DELETION, {"StringEquals": {"aws:RequestTag/team": "x"}}),
        ("string operator for a number", "operator", DELETION, {"StringEquals": {WINDOW: "7"}}),
        ("unknown operator", "operator", DELETION, {"Equals": {"aws:PrincipalArn": "x"}}),
        ("no set operator for several values", "set-operator", SENDER, {"StringEquals": SOURCE}),
        ("set operator for one value", "set-operator", SENDER, {"ForAnyValue:StringEquals": {"aws:SourceAccount": "x"}}),
        ("every value of none", "absent-key", SENDER, {"ForAllValues:StringEquals": SOURCE}),
        ("unknown member", "syntax", DELETION | {"Conditions": {}}, {}),
    )
}


@pytest.fixture(scope="module")
def rules() -> dict[str, set[str]]:
    """The rules of the findings about each statement."""
    statements = RIGHT | {name: statement for name, (_, statement) in WRONG.items()}
    planted = [
        Policy("planted.json", name, "identity", {"Version": "2012-10-17", "Statement": [statement]})
        for name, statement in statements.items()
    ]
    findings = conditions.check_policies(planted).findings
    return {name: {finding.rule for finding in findings if finding.where.startswith(name)} for name in statements}


@pytest.mark.parametrize("name", RIGHT)
def test_a_correct_statement_has_no_finding(rules: dict[str, set[str]], name: str) -> None:
    assert rules[name] == set()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_statement_is_found(rules: dict[str, set[str]], name: str) -> None:
    assert WRONG[name][0] in rules[name]


def test_a_wrong_key_is_found_in_every_kind_of_file(written: list[Policy]) -> None:
    former, planted = [], {}
    for start in ("template.yaml", "tests/policies/new/key", "tests/policies/systems/mediaconnect", "docs/"):
        policy = next(policy for policy in written if policy.file.startswith(start) and policy.kind != "trust")
        former.append(policy)
        document = copy.deepcopy(policy.document)
        document["Statement"][0]["Condition"] = {"StringEquals": {"aws:NoSuchKey": "x"}}
        planted[policy.file] = replace(policy, document=document)

    known = conditions.check_policies(former).findings
    findings = [one for one in conditions.check_policies([*planted.values()]).findings if one not in known]
    assert [(one.rule, one.file, one.subject) for one in findings] == [("key", file, "aws:NoSuchKey") for file in planted]


# A change of a policy, and the call about which it has to be found.
PERMISSIONS = {
    "a role without its denials": (
        "template.yaml",
        "- !Ref DenyReadingTokens\n        - !Ref DenyDeletion\n",
        "- !Ref DenyDeletion\n",
        ("denied", "create_key calls kms:Decrypt on key that allows everybody everything"),
    ),
    "a bus that accepts forged outcomes": (
        "template.yaml",
        '"ForAnyValue:StringEquals": {events:source: latchkey}',
        '"ForAnyValue:StringEquals": {events:source: other}',
        ("denied", "administrator calls events:PutEvents on request bus"),
    ),
    "a reporter that writes requests": (
        "template.yaml",
        "dynamodb:Attributes: [id, kind, running, ",
        "dynamodb:Attributes: [id, kind, wanted, running, ",
        ("denied", "report_outcome calls dynamodb:UpdateItem on registry"),
    ),
    "a sender of every tenant": (
        "docs/security.md",
        '"ForAllValues:StringEquals": {"events:source": ["latchkey.requests.sports"]}',
        '"ForAllValues:StringLike": {"events:source": ["latchkey.requests*"]}',
        ("denied", "sender of the tenant sports calls events:PutEvents on documented bus"),
    ),
    "a secret that its service cannot read": (
        "tests/policies/systems/mediatailor/secret.json",
        "mediatailor.amazonaws.com",
        "mediastore.amazonaws.com",
        ("allowed", "MediaTailor calls secretsmanager:GetSecretValue on secret"),
    ),
}


def test_wrong_permissions_are_found(plant: Plant) -> None:
    for file, text, by, _ in PERMISSIONS.values():
        folder = plant(file, text, by)
    findings = calls.check(folder).findings

    found = {(finding.rule, finding.subject.partition(" with ")[0]) for finding in findings}
    assert {call for _, _, _, call in PERMISSIONS.values()} <= found
