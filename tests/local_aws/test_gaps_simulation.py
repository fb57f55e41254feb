"""SimulatePrincipalPolicy returns the decision that a request of the role would have in the given context."""

import json
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.local_aws.gap_account import ROOT, Account, Role, allow, deny, error_code, policy, trust

PREFLIGHT = [
    f"kms:{name}"
    for name in (
        "CreateKey", "CreateAlias", "TagResource", "PutKeyPolicy", "DescribeKey", "EnableKeyRotation",
        "Encrypt", "Decrypt", "GenerateDataKey", "CreateGrant",
    )
]  # fmt: skip
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


def managed(account: Account, *statements: dict[str, Any]) -> str:
    made = account.client("iam").create_policy(PolicyName=account.unique("policy"), PolicyDocument=policy(*statements))
    return str(made["Policy"]["Arn"])


def entry(key: str, *values: str, kind: str = "string") -> dict[str, Any]:
    return {"ContextKeyName": key, "ContextKeyValues": list(values), "ContextKeyType": kind}


def simulate(role: Role, *actions: str, **members: Any) -> list[dict[str, Any]]:
    request = {"PolicySourceArn": role.arn, "ActionNames": list(actions)} | members
    found = role.account.client("iam").get_paginator("simulate_principal_policy").paginate(**request)
    return [result for page in found for result in page["EvaluationResults"]]


def decisions(role: Role, *actions: str, **members: Any) -> dict[str, str]:
    return {result["EvalActionName"]: result["EvalDecision"] for result in simulate(role, *actions, **members)}


def test_every_action_has_its_decision(account: Account) -> None:
    role = account.role(allow(["kms:Create*", "kms:DescribeKey"]), deny("kms:CreateGrant"))
    found = decisions(role, *PREFLIGHT)
    assert list(found) == PREFLIGHT
    allowed = {action for action, decision in found.items() if decision == "allowed"}
    assert allowed == {"kms:CreateKey", "kms:CreateAlias", "kms:DescribeKey"}
    assert found["kms:CreateGrant"] == "explicitDeny"
    assert found["kms:Decrypt"] == "implicitDeny"


def test_attached_policies_are_evaluated(account: Account) -> None:
    role = account.role()
    attach = account.client("iam").attach_role_policy
    attach(RoleName=role.name, PolicyArn=managed(account, allow("kms:*"), deny("kms:Decrypt")))
    assert decisions(role, "kms:Encrypt", "kms:Decrypt") == {"kms:Encrypt": "allowed", "kms:Decrypt": "explicitDeny"}


def test_boundary_limits_the_decision_and_is_reported(account: Account) -> None:
    boundary = managed(account, allow("kms:*"), deny("kms:PutKeyPolicy"))
    role = account.role(allow(["kms:*", "sqs:*"]), boundary=boundary)
    found = {
        result["EvalActionName"]: result for result in simulate(role, "kms:CreateKey", "sqs:SendMessage", "kms:PutKeyPolicy")
    }
    assert [result["EvalDecision"] for result in found.values()] == ["allowed", "implicitDeny", "explicitDeny"]
    details = [result["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"] for result in found.values()]
    assert details == [True, False, False]
    assert "PermissionsBoundaryDecisionDetail" not in simulate(account.role(allow("kms:*")), "kms:CreateKey")[0]


def test_context_entries_are_evaluated_and_missing_ones_reported(account: Account) -> None:
    tagged = {"StringEquals": {"aws:RequestTag/team": "sports"}, "Bool": {"kms:BypassPolicyLockoutSafetyCheck": "false"}}
    role = account.role(allow("kms:CreateKey", **tagged))
    given = [entry("aws:RequestTag/team", "sports"), entry("kms:BypassPolicyLockoutSafetyCheck", "false", kind="boolean")]
    assert decisions(role, "kms:CreateKey", ContextEntries=given) == {"kms:CreateKey": "allowed"}
    (partly,) = simulate(role, "kms:CreateKey", ContextEntries=given[:1])
    assert partly["EvalDecision"] == "implicitDeny"
    assert partly["MissingContextValues"] == ["kms:BypassPolicyLockoutSafetyCheck"]
    assert decisions(role, "kms:CreateKey", ContextEntries=[entry("aws:RequestTag/team", "news"), given[1]]) == {
        "kms:CreateKey": "implicitDeny"
    }


def test_context_entry_can_have_several_values(account: Account) -> None:
    operations = {"ForAllValues:StringEquals": {"kms:GrantOperations": ["Decrypt", "DescribeKey"]}}
    role = account.role(allow("kms:CreateGrant", **operations))
    for values, decision in ((["Decrypt", "DescribeKey"], "allowed"), (["Decrypt", "Encrypt"], "implicitDeny")):
        given = [entry("kms:GrantOperations", *values, kind="stringList")]
        assert decisions(role, "kms:CreateGrant", ContextEntries=given) == {"kms:CreateGrant": decision}


def test_a_list_with_one_value_is_compared_only_by_a_set_operator(account: Account) -> None:
    single = account.role(allow("kms:CreateGrant", StringLike={"kms:GrantOperations": "*"}))
    several = account.role(allow("kms:CreateGrant", **{"ForAnyValue:StringLike": {"kms:GrantOperations": "*"}}))
    given = [entry("kms:GrantOperations", "Decrypt", kind="stringList")]
    assert decisions(single, "kms:CreateGrant", ContextEntries=given) == {"kms:CreateGrant": "implicitDeny"}
    assert decisions(several, "kms:CreateGrant", ContextEntries=given) == {"kms:CreateGrant": "allowed"}


def test_every_resource_is_evaluated(account: Account) -> None:
    other = KEY.replace("11111111", "99999999")
    results = simulate(account.role(allow("kms:Decrypt", KEY)), "kms:Decrypt", ResourceArns=[KEY, other])
    assert [(result["EvalResourceName"], result["EvalDecision"]) for result in results] == [
        (KEY, "allowed"),
        (other, "implicitDeny"),
    ]


def test_role_with_a_path_is_found(account: Account) -> None:
    iam, name = account.client("iam"), account.unique("role")
    arn = iam.create_role(RoleName=name, Path="/adobe/", AssumeRolePolicyDocument=trust({"AWS": ROOT}))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(allow("kms:CreateKey")))
    assert decisions(Role(account, name, arn), "kms:CreateKey") == {"kms:CreateKey": "allowed"}


def test_missing_role_is_an_error(account: Account) -> None:
    request = {"PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:role/absent", "ActionNames": ["kms:CreateKey"]}
    assert error_code(account.client("iam").simulate_principal_policy, **request) == "NoSuchEntity"


def test_simulation_is_authorized_against_the_simulated_role(account: Account) -> None:
    role = account.role(allow("kms:*"))
    iam = account.role(allow("iam:SimulatePrincipalPolicy", role.arn)).client("iam")
    found = iam.simulate_principal_policy(PolicySourceArn=role.arn, ActionNames=["kms:CreateKey"])
    assert found["EvaluationResults"][0]["EvalDecision"] == "allowed"
    other = {"PolicySourceArn": account.role().arn, "ActionNames": ["kms:CreateKey"]}
    assert error_code(iam.simulate_principal_policy, **other) == "AccessDenied"


def test_policies_in_the_request_are_evaluated_in_addition(account: Account) -> None:
    role, document = account.role(allow("kms:CreateKey")), json.loads(policy(deny("kms:CreateKey")))
    given = {"PolicyInputList": [json.dumps(document)]}
    assert decisions(role, "kms:CreateKey", **given) == {"kms:CreateKey": "explicitDeny"}
