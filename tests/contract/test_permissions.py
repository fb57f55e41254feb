"""The roles allow what the package calls and nothing else; tests/functions compares each function's calls with its role."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from botocore import xform_name

from latchkey.systems import SYSTEMS
from tests.contract.artifacts import (
    FUNCTIONS,
    LAYER,
    OF_SYSTEMS,
    STATE_MACHINES,
    TEMPLATE_TEXT,
    actions,
    listed,
    logical_id,
    service_model,
    sources,
    statements,
    tree,
)

# By the name of a client in the package: the service in botocore and in IAM. Clients are named after their service.
CLIENTS = {
    "cloudformation": ("cloudformation", "cloudformation"),
    "dynamodb": ("dynamodb", "dynamodb"),
    "events": ("events", "events"),
    "iam": ("iam", "iam"),
    "kms": ("kms", "kms"),
    "secretsmanager": ("secretsmanager", "secretsmanager"),
    "s3": ("s3", "s3"),
    "stepfunctions": ("stepfunctions", "states"),
}
# A variable `client` belongs to one of these services, which have the same name in IAM.
CONFIGURED = {file: SYSTEMS[name].configuration for name, file in OF_SYSTEMS.items()}
# Permissions that no line of the package calls: AWS services use them on behalf of the function.
PASSED = {"iam:GetRole": "the check that the role can be passed", "iam:PassRole": "an update with the reader's role"}
TENANTS = {"ssm:GetParameter": "the parameters utility of Powertools"}
# Operations that IAM authorizes as others.
AUTHORIZED_AS = {"dynamodb:TransactWriteItems": "dynamodb:PutItem"}
IN_OUR_NAME = {
    "AppendAuditRecordsFunction": dict.fromkeys(
        ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"),
        "the event source mapping of the stream",
    ),
    "ReceiveRequestFunction": TENANTS,
    "CheckRequestFunction": TENANTS,
    "PlanAccessFunction": TENANTS,
    "CheckRotationFunction": TENANTS,
    "ApplyTokenFunction": {"iam:PassRole": "an update with the reader's role"},
    "DiscoverResourcesFunction": TENANTS | {"s3:ListBucket": "GetObject of an object that does not exist"},
    "CreateKeyFunction": {"kms:TagResource": "CreateKey with tags"},
    "CreateSecretFunction": {
        "secretsmanager:TagResource": "CreateSecret with tags",
        "kms:GenerateDataKey": "CreateSecret and PutSecretValue",
        "kms:Decrypt": "GetSecretValue",
    },
    "AttachPoliciesFunction": TENANTS
    | {
        "kms:Decrypt": "UpdateSecret, from the former key",
        "kms:Encrypt": "UpdateSecret",
        "kms:GenerateDataKey": "UpdateSecret, to the new key",
        "iam:TagRole": "CreateRole with tags",
    },
    "ConfigureAccessFunction": PASSED
    | {
        "mediatailor:TagResource": "CreateSourceLocation with tags",
        "secretsmanager:DescribeSecret": "MediaTailor reads the secret",
        "secretsmanager:GetSecretValue": "MediaTailor reads the secret",
    },
    "CheckManifestFunction": {
        "s3:GetObjectVersion": "GetObject of a version",
        "s3:ListBucket": "GetObject of an object that does not exist",
    },
    "CompleteBulkFunction": {
        "s3:GetObjectVersion": "GetObject of a version",
        "s3:ListBucket": "GetObject of an object that does not exist",
    },
    "DecideRepairsFunction": {"s3:ListBucket": "GetObject of an object that does not exist"},
    "ExportAuditFunction": {"s3:ListBucket": "GetObject of an object that does not exist"},
    "CleanUpGrantsFunction": {
        "secretsmanager:GetSecretValue": "MediaTailor reads the secret of a restored source location",
        "kms:CreateGrant": "MediaTailor creates the grant of a restored source location",
        "kms:Decrypt": "GetSecretValue on behalf of MediaTailor",
    },
    "IdentifyAccessesFunction": {
        "sqs:DeleteMessage": "the event source mapping of its queue",
        "sqs:GetQueueAttributes": "the event source mapping of its queue",
        "sqs:ReceiveMessage": "the event source mapping of its queue",
    },
    "DetachResourceFunction": PASSED
    | {
        "secretsmanager:GetSecretValue": "MediaTailor reads the former secret of the source location",
        "kms:CreateGrant": "MediaTailor creates a grant on the key of that secret",
        "kms:Decrypt": "GetSecretValue on behalf of MediaTailor",
    },
    "UndoOnboardingFunction": PASSED
    | {
        "secretsmanager:GetSecretValue": "MediaTailor reads the former secret of the source location",
        "kms:CreateGrant": "MediaTailor creates a grant on the key of that secret",
        "kms:Decrypt": "GetSecretValue on behalf of MediaTailor, and UpdateSecret",
        "kms:Encrypt": "UpdateSecret, back to the former key",
        "kms:GenerateDataKey": "UpdateSecret, back to the former key",
    },
}
# Functions that have the role of another one.
IN_OUR_NAME["LeaveKeyFunction"] = IN_OUR_NAME["UndoOnboardingFunction"]


@cache
def operations(service: str) -> dict[str, str]:
    """Maps method names to operation names: `create_key` to `CreateKey`."""
    names = service_model(service).operation_names
    return {xform_name(name): name for name in names}


@cache
def called() -> frozenset[str]:
    """Returns every operation that the deployed code calls: by method, by paginator, or by name in a system's facts."""
    found = set()
    for path, node in _nodes():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get_paginator":
            receiver, name = ast.unparse(node.func.value), ast.literal_eval(node.args[0])
        elif isinstance(node, ast.Attribute):
            receiver, name = ast.unparse(node.value), node.attr
        elif isinstance(node, ast.Constant) and path.parent == LAYER / "systems":
            receiver, name = "client", node.value
        else:
            continue
        for service, prefix in _services(path, receiver.rpartition(".")[2].strip("_")):
            if name in operations(service):
                action = f"{prefix}:{operations(service)[name]}"
                found.add(AUTHORIZED_AS.get(action, action))
    return frozenset(found)


def _nodes() -> Iterator[tuple[Path, ast.AST]]:
    for path in sources():
        yield from ((path, node) for node in ast.walk(tree(path)))


def _services(path: Path, client: str) -> list[tuple[str, str]]:
    """Returns the services that a client of this name can belong to; in the file of a system, that of the system."""
    if client != "client":
        return [CLIENTS[client]] if client in CLIENTS else []
    configurations = [CONFIGURED[path]] if path in CONFIGURED else CONFIGURED.values()
    return [(configuration.service, configuration.service) for configuration in configurations if configuration]


def test_everything_the_package_calls_is_allowed_to_some_function() -> None:
    assert called() - set().union(*map(actions, FUNCTIONS.values())) == set()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_function_is_allowed_an_action_that_is_not_called(function: str) -> None:
    assert actions(FUNCTIONS[function]) - called() - set(IN_OUR_NAME.get(function, {})) == set()


def test_only_the_key_policy_lets_configure_access_use_a_key() -> None:
    """The function has no kms:CreateGrant of its own, so it cannot use a key whose policy does not name it."""
    assert {action for action in actions(FUNCTIONS["ConfigureAccessFunction"]) if action.startswith("kms:")} == {
        "kms:ListGrants"
    }


def test_only_rollback_and_offboarding_delete_and_only_what_latchkey_created() -> None:
    kinds = re.compile(r"(kms|secretsmanager|mediatailor):(Delete|ScheduleKeyDeletion)")
    deleting = {name for name, function in FUNCTIONS.items() for action in actions(function) if kinds.match(action)}
    whole = {"secretsmanager:DeleteSecret", "kms:ScheduleKeyDeletion", "mediatailor:DeleteSourceLocation"}

    assert deleting == {
        "DeleteKeyFunction",
        "DeleteSecretFunction",
        "DetachResourceFunction",
        "LeaveKeyFunction",
        "RemovePoliciesFunction",
        "UndoOnboardingFunction",
    }
    for function in deleting:
        for statement in statements(FUNCTIONS[function]):
            if whole & set(listed(statement["Action"])):
                assert statement["Condition"]["StringEquals"] == {"aws:ResourceTag/latchkey:managed-by": "latchkey"}


def test_an_offboarding_deletes_no_secret_without_a_recovery_window_and_no_two_kinds_of_things() -> None:
    [deletion] = [
        statement
        for statement in statements(FUNCTIONS["DeleteSecretFunction"])
        if "secretsmanager:DeleteSecret" in listed(statement["Action"])
    ]
    assert deletion["Condition"]["NumericGreaterThanEquals"] == {"secretsmanager:RecoveryWindowInDays": "7"}
    whole = {"secretsmanager:DeleteSecret", "kms:ScheduleKeyDeletion", "mediatailor:DeleteSourceLocation", "kms:RevokeGrant"}
    for function in ("DeleteKey", "DeleteSecret", "DetachResource", "RemovePolicies", "RecordOffboarding", "CheckOffboarding"):
        assert len(actions(FUNCTIONS[f"{function}Function"]) & whole) <= 1


def test_whoever_reads_the_holder_of_a_lock_can_read_the_executions_of_every_state_machine_that_locks() -> None:
    """Otherwise, a request fails instead of waiting for another one. The names are patterns, to avoid circular references."""
    waiting = {name for name, function in FUNCTIONS.items() if "execution:*Onboard" in json.dumps(statements(function))}
    users = {logical_id(path.stem) for path in sources() if "is_over_by(stepfunctions" in path.read_text()}
    assert waiting == users & set(FUNCTIONS)
    for name in waiting:
        allowed = json.dumps(
            [one["Resource"] for one in statements(FUNCTIONS[name]) if "states:DescribeExecution" in one["Action"]]
        )
        others = ("BulkStateMachine", "DiscoverStateMachine", "ReconcileStateMachine")
        locking = [machine for machine in STATE_MACHINES if machine not in others]
        assert [machine for machine in locking if f"execution:*{machine}-*:*" not in allowed] == [], name


def test_no_action_is_a_pattern() -> None:
    assert [action for function in FUNCTIONS.values() for action in actions(function) if "*" in action] == []


def test_actions_that_services_use_on_behalf_of_a_function_are_allowed() -> None:
    for function, known in IN_OUR_NAME.items():
        assert set(known) <= actions(FUNCTIONS[function]), function


LINES = TEMPLATE_TEXT.splitlines()


def _stars() -> list[int]:
    """Returns the lines that allow an action on every resource."""
    found = [at for at, line in enumerate(LINES) if re.match(r'\s*Resource: "\*"', line)]
    return [at for at in found if "Effect: Allow" in "\n".join(LINES[_start(at) : at])]


def _start(at: int) -> int:
    """Returns the first line of the IAM statement around a line."""
    return next(line for line in range(at, 0, -1) if re.match(r"\s*- (Effect|Sid):", LINES[line]))


@pytest.mark.parametrize("at", _stars(), ids=lambda at: f"line {at + 1}")
def test_every_allowed_wildcard_has_its_reason_next_to_it(at: int) -> None:
    statement = LINES[_start(at) - 1 : at + 1]

    assert statement[0].lstrip().startswith("#") or any(" # " in line for line in statement[1:])


def test_only_clean_up_grants_revokes_and_only_on_managed_or_approved_keys() -> None:
    revoking = {name for name, function in FUNCTIONS.items() if "kms:RevokeGrant" in actions(function)}
    conditions = [s["Condition"] for s in statements(FUNCTIONS["CleanUpGrantsFunction"]) if s["Action"] == "kms:RevokeGrant"]

    assert revoking == {"CleanUpGrantsFunction"}
    assert conditions == [
        {"StringEquals": {"aws:ResourceTag/latchkey:managed-by": "latchkey"}},
        {"StringEquals": {"aws:ResourceTag/latchkey:consent": "adopt"}},
    ]
