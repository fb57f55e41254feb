"""Which Deny statements certainly apply to a call, given what is known about the call in advance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from latchkey.policies.denials import Caller, denials, of_principal, of_role, of_service, run_by_service, through
from tests.policies.foreign import document
from tests.unit.samples import ACCOUNT, EXISTING_ARN, REGION, SECRET_ARN, role, user

ACTION, WRITE = "secretsmanager:GetSecretValue", "secretsmanager:PutResourcePolicy"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
FUNCTION = of_role(role("latchkey-attach"), REGION)
SERVICE = of_service("mediatailor.amazonaws.com", REGION)
READER = run_by_service(of_role(role("latchkey_reader"), REGION, bounded=True))
VIA_SERVICE = through(FUNCTION, f"mediatailor.{REGION}.amazonaws.com")
OWNER = of_principal(user("owner"))


def deny(condition: Mapping[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    statement = {"Sid": "No", "Effect": "Deny", "Principal": "*", "Action": ACTION, "Resource": "*", **members}
    return statement | ({"Condition": condition} if condition else {})


def denied(statement: dict[str, Any], caller: Caller, action: str = ACTION) -> bool:
    return denials(document(statement), caller, action, SECRET_ARN) == ["No"]


def test_a_missing_policy_denies_nothing() -> None:
    assert denials(None, FUNCTION, ACTION, SECRET_ARN) == []


def test_a_statement_without_a_sid_is_named_by_its_position() -> None:
    nameless = {name: value for name, value in deny().items() if name != "Sid"}
    assert denials(document(deny(Effect="Allow"), nameless), FUNCTION, ACTION, SECRET_ARN) == ["Statement[1]"]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (deny(), True),
        (deny(Effect="Allow"), False),
        (deny(Action="*"), True),
        (deny(Action=["secretsmanager:Delete*", "SECRETSMANAGER:get?ecretvalue"]), True),
        (deny(Action="secretsmanager:Get"), False),
        (deny(Action="secretsmanager:[G]etSecretValue"), False),
        (deny(Resource=SECRET_ARN), True),
        (deny(Resource=[EXISTING_ARN, f"arn:aws:secretsmanager:*:{ACCOUNT}:secret:*"]), True),
        (deny(Resource=EXISTING_ARN), False),
        (deny(Resource=f"arn:aws:secretsmanager:*:{ACCOUNT}:secret:${{aws:PrincipalTag/team}}*"), False),
        ({"Sid": "No", "Effect": "Deny", "Principal": "*", "NotAction": "kms:*", "Resource": "*"}, True),
        ({"Sid": "No", "Effect": "Deny", "Principal": "*", "NotAction": "secretsmanager:Get*", "Resource": "*"}, False),
        ({"Sid": "No", "Effect": "Deny", "Principal": "*", "Action": ACTION, "NotResource": EXISTING_ARN}, True),
        ({"Sid": "No", "Effect": "Deny", "Principal": "*", "Action": ACTION, "NotResource": "*"}, False),
        ({"Sid": "No", "Effect": "Deny", "Principal": "*", "Action": ACTION}, False),
    ],
    ids=str,
)
def test_a_denial_covers_its_actions_and_resources(statement: dict[str, Any], expected: bool) -> None:
    assert denied(statement, FUNCTION) is expected


@pytest.mark.parametrize(
    ("principal", "callers"),
    [
        ({"Principal": "*"}, "function service reader owner"),
        ({"Principal": {"AWS": "*"}}, "function service reader owner"),
        ({"Principal": {"AWS": ROOT}}, "function reader owner"),
        ({"Principal": {"AWS": [ACCOUNT, "arn:aws:iam::999988887777:root"]}}, "function reader owner"),
        ({"Principal": {"AWS": role("latchkey-attach")}}, "function"),
        ({"Principal": {"AWS": user("owner")}}, "owner"),
        ({"Principal": {"AWS": "arn:aws:iam::999988887777:root"}}, ""),
        ({"Principal": {"Service": ["ec2.amazonaws.com", "mediatailor.amazonaws.com"]}}, "service"),
        ({"Principal": {"Service": "ec2.amazonaws.com"}}, ""),
        ({"NotPrincipal": {"AWS": role("latchkey-attach")}}, "service reader owner"),
        ({"NotPrincipal": {"AWS": ROOT}}, "service reader"),
        ({"NotPrincipal": {"Service": "mediatailor.amazonaws.com"}}, "function reader owner"),
    ],
    ids=str,
)
def test_a_denial_names_its_principals(principal: dict[str, Any], callers: str) -> None:
    """`NotPrincipal` spares no role that has a permissions boundary."""
    statement = {"Sid": "No", "Effect": "Deny", "Action": ACTION, "Resource": "*", **principal}
    every = {"function": FUNCTION, "service": SERVICE, "reader": READER, "owner": OWNER}
    assert {name for name, caller in every.items() if denied(statement, caller)} == {*callers.split()}


ARN = role("latchkey-attach")
CONDITIONS: list[tuple[dict[str, Any], str]] = [
    # A service principal has no ARN and no organization.
    ({"StringNotEquals": {"aws:PrincipalArn": [ROOT]}}, "function service reader via owner"),
    ({"StringNotEquals": {"aws:PrincipalArn": [ARN]}}, "service reader owner"),
    ({"StringNotEqualsIfExists": {"aws:PrincipalArn": [ARN]}}, "service reader owner"),
    ({"ArnNotLike": {"AWS:PrincipalARN": f"arn:aws:iam::{ACCOUNT}:role/latchkey-*"}}, "service reader owner"),
    ({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}, "service owner"),
    ({"ArnNotLike": {"aws:PrincipalArn": "arn:*"}}, "function service reader via owner"),
    ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/*"}}, "function reader via"),
    ({"ArnEquals": {"aws:PrincipalArn": ARN}}, "function via"),
    ({"StringNotEquals": {"aws:PrincipalOrgID": "o-exampleorgid"}}, "service"),
    ({"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-exampleorgid"}}, "service"),
    ({"ForAnyValue:StringNotEquals": {"aws:PrincipalOrgPaths": "o-a/r-b/"}}, ""),
    ({"ForAllValues:StringNotEquals": {"aws:PrincipalOrgPaths": "o-a/r-b/"}}, "service"),
    ({"Null": {"aws:PrincipalOrgID": "true"}}, "service"),
    ({"Null": {"aws:PrincipalArn": "false"}}, "function reader via owner"),
    ({"StringNotEquals": {"aws:PrincipalAccount": ACCOUNT}}, "service"),
    ({"StringNotEquals": {"aws:PrincipalAccount": "999988887777"}}, "function service reader via owner"),
    # Services are usually exempt by one of these keys.
    ({"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-a"}, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}, ""),
    ({"Bool": {"aws:PrincipalIsAWSService": False}}, "function reader owner"),
    ({"Bool": {"aws:PrincipalIsAWSService": "true"}}, "service"),
    ({"StringNotEquals": {"aws:PrincipalServiceName": "appflow.amazonaws.com"}}, "function service reader owner"),
    ({"StringNotEquals": {"aws:PrincipalServiceName": "mediatailor.amazonaws.com"}}, "function reader owner"),
    ({"StringNotLike": {"aws:PrincipalServiceName": "mediatailor.*"}}, "function reader owner"),
    ({"StringNotLikeIfExists": {"aws:PrincipalServiceName": "s3.*", "aws:PrincipalArn": ARN}}, "service reader owner"),
    # The functions are in no VPC, and services are not in a customer's.
    ({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}, "function service reader"),
    ({"StringNotEqualsIfExists": {"aws:SourceVpc": "vpc-1"}}, "function service reader"),
    ({"Null": {"aws:SourceVpce": "true"}}, "function"),
    ({"Bool": {"aws:SecureTransport": "false"}}, ""),
    ({"Bool": {"aws:ViaAWSService": "false"}}, "function service reader"),
    ({"Bool": {"aws:ViaAWSService": "true"}}, "via"),
    ({"StringNotEquals": {"aws:RequestedRegion": "us-east-1"}}, "function service reader via"),
    ({"StringNotEqualsIgnoreCase": {"aws:RequestedRegion": REGION.upper()}}, ""),
    ({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}, "function service reader via"),
    ({"Bool": {"aws:MultiFactorAuthPresent": "false"}}, ""),
    # What depends on the call is not decided.
    ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, ""),
    ({"NotIpAddress": {"aws:VpcSourceIp": "10.0.0.0/8"}}, "function"),
    ({"DateGreaterThan": {"aws:RequestedRegion": "2026-01-01"}}, ""),
    ({"StringNotEquals": {"aws:PrincipalTag/team": "video"}}, ""),
    ({"StringNotEquals": {"aws:PrincipalArn": "${aws:userid}"}}, "service"),
    ({"StringNotEquals": {"aws:PrincipalArn": ROOT}, "StringEquals": {"aws:SourceIp": "10.0.0.1"}}, ""),
]


@pytest.mark.parametrize(("condition", "callers"), CONDITIONS, ids=str)
def test_a_condition_is_decided_from_known_keys(condition: dict[str, Any], callers: str) -> None:
    every = {"function": FUNCTION, "service": SERVICE, "reader": READER, "via": VIA_SERVICE, "owner": OWNER}
    assert {name for name, caller in every.items() if denied(deny(condition), caller)} == {*callers.split()}


def test_a_call_through_a_service_has_that_service() -> None:
    via = {"StringNotEquals": {"kms:ViaService": [f"secretsmanager.{REGION}.amazonaws.com", f"rds.{REGION}.amazonaws.com"]}}
    elsewhere = {"StringNotEquals": {"kms:ViaService": f"rds.{REGION}.amazonaws.com"}}
    decrypting = through(READER, f"secretsmanager.{REGION}.amazonaws.com")

    assert [denied(deny(condition), decrypting) for condition in (via, elsewhere)] == [False, True]
    assert denied(deny(via), FUNCTION)


def test_a_caller_is_named_by_its_arn_or_its_service() -> None:
    assert (FUNCTION.name, SERVICE.name) == (ARN, "mediatailor.amazonaws.com")


def test_a_single_statement_without_a_list_is_read() -> None:
    assert denials({"Version": "2012-10-17", "Statement": deny(Action=WRITE)}, FUNCTION, WRITE, SECRET_ARN) == ["No"]
