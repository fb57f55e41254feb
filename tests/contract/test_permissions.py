"""What the functions may do is what the package calls; tests/functions checks each function's calls against its role."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.session import Session

from latchkey.systems import SYSTEMS
from tests.contract.artefacts import FUNCTIONS, LAYER, OF_SYSTEMS, TEMPLATE_TEXT, actions, listed, sources, statements, tree

# The names of clients in the package (the convention: a client is called after its service), and what IAM calls the service.
CLIENTS = {
    "dynamodb": ("dynamodb", "dynamodb"),
    "events": ("events", "events"),
    "iam": ("iam", "iam"),
    "kms": ("kms", "kms"),
    "secretsmanager": ("secretsmanager", "secretsmanager"),
    "stepfunctions": ("stepfunctions", "states"),
}
# A `client` is of one of these, whose names are IAM's as well.
CONFIGURED = {file: SYSTEMS[name].configuration for name, file in OF_SYSTEMS.items()}
# What a service does in the name of its caller, so that no line of ours calls it.
PASSED = {"iam:GetRole": "the look whether the role may be passed", "iam:PassRole": "an update that names the reader's role"}
IN_OUR_NAME = {
    "CreateKeyFunction": {"kms:TagResource": "CreateKey with tags"},
    "CreateSecretFunction": {
        "secretsmanager:TagResource": "CreateSecret with tags",
        "kms:GenerateDataKey": "CreateSecret and PutSecretValue",
        "kms:Decrypt": "GetSecretValue",
    },
    "AttachPoliciesFunction": {
        "kms:Decrypt": "UpdateSecret, from the former key",
        "kms:Encrypt": "UpdateSecret",
        "kms:GenerateDataKey": "UpdateSecret, to the new key",
        "iam:TagRole": "CreateRole with tags",
    },
    "ConfigureAccessFunction": PASSED
    | {
        "mediatailor:TagResource": "CreateSourceLocation with tags",
        "secretsmanager:DescribeSecret": "MediaTailor's look at the secret",
        "secretsmanager:GetSecretValue": "MediaTailor's look at the secret",
    },
    "CleanUpGrantsFunction": {
        "secretsmanager:GetSecretValue": "MediaTailor's look at the secret of an owner that is set again",
        "kms:CreateGrant": "MediaTailor's grant for an owner that is set again",
        "kms:Decrypt": "GetSecretValue on behalf of MediaTailor",
    },
    "IdentifyAccessesFunction": {
        "sqs:DeleteMessage": "the mapping of its queue",
        "sqs:GetQueueAttributes": "the mapping of its queue",
        "sqs:ReceiveMessage": "the mapping of its queue",
    },
    "UndoOnboardingFunction": PASSED
    | {
        "secretsmanager:GetSecretValue": "MediaTailor's look at the secret that the location had before",
        "kms:CreateGrant": "MediaTailor's grant on the key of that secret",
        "kms:Decrypt": "GetSecretValue on behalf of MediaTailor",
    },
}


@cache
def operations(service: str) -> dict[str, str]:
    """`create_key` -> `CreateKey`."""
    names = Session().get_service_model(service).operation_names
    return {xform_name(name): name for name in names}


@cache
def called() -> frozenset[str]:
    """Every operation that the deployed code calls on a client, by method, by paginator or, in a system's facts, by name."""
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
                found.add(f"{prefix}:{operations(service)[name]}")
    return frozenset(found)


def _nodes() -> Iterator[tuple[Path, ast.AST]]:
    for path in sources():
        yield from ((path, node) for node in ast.walk(tree(path)))


def _services(path: Path, client: str) -> list[tuple[str, str]]:
    """What a client may be of, by its name in this file: in the file of a system, `client` is of the system's service."""
    if client != "client":
        return [CLIENTS[client]] if client in CLIENTS else []
    configurations = [CONFIGURED[path]] if path in CONFIGURED else CONFIGURED.values()
    return [(configuration.service, configuration.service) for configuration in configurations if configuration]


def test_everything_the_package_calls_is_allowed_to_some_function() -> None:
    assert called() - set().union(*map(actions, FUNCTIONS.values())) == set()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_is_allowed_that_is_not_called(function: str) -> None:
    assert actions(FUNCTIONS[function]) - called() - set(IN_OUR_NAME.get(function, {})) == set()


def test_the_function_that_configures_has_the_keys_own_permission_alone() -> None:
    """It may use a key only as far as the key's policy names it, so a key that nobody gave to Latchkey stays closed to it."""
    assert {action for action in actions(FUNCTIONS["ConfigureAccessFunction"]) if action.startswith("kms:")} == {
        "kms:ListGrants"
    }


def test_what_deletes_belongs_to_the_undo_and_to_what_latchkey_made() -> None:
    kinds = re.compile(r"(kms|secretsmanager|mediatailor):(Delete|ScheduleKeyDeletion)")
    deleting = {name for name, function in FUNCTIONS.items() for action in actions(function) if kinds.match(action)}
    whole = {"secretsmanager:DeleteSecret", "kms:ScheduleKeyDeletion", "mediatailor:DeleteSourceLocation"}

    assert deleting == {"UndoOnboardingFunction"}
    for statement in statements(FUNCTIONS["UndoOnboardingFunction"]):
        if whole & set(listed(statement["Action"])):
            assert statement["Condition"]["StringEquals"] == {"aws:ResourceTag/latchkey:managed-by": "latchkey"}


def test_no_action_is_a_pattern() -> None:
    assert [action for function in FUNCTIONS.values() for action in actions(function) if "*" in action] == []


def test_what_services_do_in_our_name_is_allowed() -> None:
    for function, known in IN_OUR_NAME.items():
        assert set(known) <= actions(FUNCTIONS[function]), function


LINES = TEMPLATE_TEXT.splitlines()


def _stars() -> list[int]:
    """The lines that allow something on every resource."""
    found = [at for at, line in enumerate(LINES) if re.match(r'\s*Resource: "\*"', line)]
    return [at for at in found if "Effect: Allow" in "\n".join(LINES[_start(at) : at])]


def _start(at: int) -> int:
    """The line at which the IAM statement around a line begins."""
    return next(line for line in range(at, 0, -1) if re.match(r"\s*- (Effect|Sid):", LINES[line]))


@pytest.mark.parametrize("at", _stars(), ids=lambda at: f"line {at + 1}")
def test_every_star_says_why(at: int) -> None:
    statement = LINES[_start(at) - 1 : at + 1]

    assert statement[0].lstrip().startswith("#") or any(" # " in line for line in statement[1:])


def test_only_the_clean_up_revokes_and_only_where_latchkey_or_consent_is() -> None:
    revoking = {name for name, function in FUNCTIONS.items() if "kms:RevokeGrant" in actions(function)}
    conditions = [s["Condition"] for s in statements(FUNCTIONS["CleanUpGrantsFunction"]) if s["Action"] == "kms:RevokeGrant"]

    assert revoking == {"CleanUpGrantsFunction"}
    assert conditions == [
        {"StringEquals": {"aws:ResourceTag/latchkey:managed-by": "latchkey"}},
        {"StringEquals": {"aws:ResourceTag/latchkey:consent": "adopt"}},
    ]
