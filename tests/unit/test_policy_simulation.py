"""The results of the IAM policy simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from latchkey.aws.roles import denied_actions, refused_actions
from tests.unit.samples import SECRET_ARN, role

READER = role("Reader")
ALLOWED, IMPLICIT, EXPLICIT = "allowed", "implicitDeny", "explicitDeny"


@pytest.fixture
def iam() -> Any:
    return boto3.client("iam")


@pytest.fixture
def answers(iam: Any) -> Iterator[Stubber]:
    with Stubber(iam) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def asked(actions: list[str], context: list[dict[str, Any]]) -> dict[str, Any]:
    return {"PolicySourceArn": READER, "ActionNames": actions, "ResourceArns": [SECRET_ARN], "ContextEntries": context}


def result(action: str, decision: str, *, bounded: bool | None = None) -> dict[str, Any]:
    detail = {} if bounded is None else {"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": bounded}}
    return {"EvalActionName": action, "EvalDecision": decision} | detail


def test_actions_that_are_not_allowed_are_found_on_every_page(iam: Any, answers: Stubber) -> None:
    actions, context = ["a:One", "a:Two", "a:Three"], {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}
    entry = {
        "ContextKeyName": "kms:ViaService",
        "ContextKeyType": "string",
        "ContextKeyValues": ["secretsmanager.eu-west-1.amazonaws.com"],
    }
    first = {"EvaluationResults": [result("a:One", IMPLICIT)], "IsTruncated": True, "Marker": "more"}
    second = {"EvaluationResults": [result("a:Two", ALLOWED), result("a:Three", EXPLICIT)], "IsTruncated": False}
    answers.add_response("simulate_principal_policy", first, asked(actions, [entry]))
    answers.add_response("simulate_principal_policy", second, asked(actions, [entry]) | {"Marker": "more"})
    assert refused_actions(iam, READER, actions, SECRET_ARN, context) == ["a:One", "a:Three"]


@pytest.mark.parametrize(
    ("result", "denied"),
    [
        (result("a:One", ALLOWED), []),
        (result("a:One", IMPLICIT), []),
        (result("a:One", IMPLICIT, bounded=True), []),
        (result("a:One", IMPLICIT, bounded=False), ["a:One"]),
        (result("a:One", EXPLICIT), ["a:One"]),
    ],
    ids=["allowed", "not mentioned", "within its boundary", "beyond its boundary", "denied"],
)
def test_only_actions_that_no_key_policy_can_allow_are_denied(
    iam: Any, answers: Stubber, result: dict[str, Any], denied: list[str]
) -> None:
    answers.add_response("simulate_principal_policy", {"EvaluationResults": [result]}, asked(["a:One"], []))
    assert denied_actions(iam, READER, ["a:One"], SECRET_ARN) == denied
