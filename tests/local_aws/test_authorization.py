"""Authentication and authorization, evaluated on the stores of MiniStack in this process."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ministack.services import iam, kms, secretsmanager, sts

from local_aws.emulator import authorization, gaps
from local_aws.emulator.authorization import Caller, UnknownCallerError, allows, caller_of, grant_allows, service_allows

ACCOUNT = "000000000000"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/reader"
SERVICE = "mediatailor.amazonaws.com"
DELEGATING = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}


@pytest.fixture(autouse=True, scope="module")
def closed_gaps() -> None:
    gaps.apply()


@pytest.fixture(autouse=True)
def stores() -> Iterator[None]:
    yield
    for service in (iam, kms, secretsmanager, sts):
        service.reset()


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": "*"} | more


def a_key(*statements: dict[str, Any]) -> str:
    return str(json.loads(kms._create_key({"Policy": policy(*statements)})[2])["KeyMetadata"]["Arn"])


def a_secret(*statements: dict[str, Any]) -> str:
    arn = str(json.loads(secretsmanager._create_secret({"Name": "a", "SecretString": "b"})[2])["ARN"])
    if statements:
        secretsmanager._put_resource_policy({"SecretId": arn, "ResourcePolicy": policy(*statements)})
    return arn


def a_role(*statements: dict[str, Any], service: str = SERVICE, **conditions: Any) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"} | conditions
    iam._create_role({"RoleName": "reader", "AssumeRolePolicyDocument": policy(trust)})
    if statements:
        iam._put_role_policy({"RoleName": "reader", "PolicyName": "own", "PolicyDocument": policy(*statements)})


def assume(**context: str) -> Caller:
    named = {name.replace("_", ":"): value for name, value in context.items()}
    return authorization.assume_as_service(SERVICE, ROLE, "session", named).caller


def signed_by(key: str, token: str = "") -> dict[str, str]:
    signature = f"AWS4-HMAC-SHA256 Credential={key}/20261122/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0"
    return {"Authorization": signature} | ({"X-Amz-Security-Token": token} if token else {})


def test_root_key_and_account_ids_are_the_root_user() -> None:
    assert caller_of(signed_by("test")) == Caller(ROOT, ACCOUNT, "test")
    assert caller_of(signed_by("111122223333")).arn == "arn:aws:iam::111122223333:root"


def test_session_is_identified_by_key_and_token() -> None:
    a_role()
    session = authorization.assume_as_service(SERVICE, ROLE, "session", {})
    headers = signed_by(session.caller.access_key, session.session_token)
    assert caller_of(headers) == session.caller
    assert session.caller.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/session"
    with pytest.raises(UnknownCallerError):
        caller_of(signed_by(session.caller.access_key, "another"))


@pytest.mark.parametrize("headers", [{}, signed_by("AKIAUNKNOWN")])
def test_missing_and_unknown_credentials_are_rejected(headers: dict[str, str]) -> None:
    with pytest.raises(UnknownCallerError):
        caller_of(headers)


def test_role_can_only_be_assumed_by_the_service_it_trusts() -> None:
    a_role(service="mediaconnect.amazonaws.com")
    with pytest.raises(PermissionError):
        assume()
    with pytest.raises(PermissionError):
        authorization.assume_as_service(SERVICE, ROLE + "s", "session", {})


def test_trust_policy_conditions_are_evaluated() -> None:
    a_role(Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}})
    with pytest.raises(PermissionError):
        assume(aws_SourceAccount="111122223333")
    assert assume(aws_SourceAccount=ACCOUNT)


def test_identity_policies_apply_if_the_key_policy_delegates() -> None:
    a_role(allow("kms:Decrypt"))
    caller = assume()
    assert allows(caller, "kms:Decrypt", a_key(DELEGATING), {})
    assert not allows(caller, "kms:Encrypt", a_key(DELEGATING), {})
    assert not allows(caller, "kms:Decrypt", a_key(allow("kms:*", Principal={"AWS": f"{ROOT[:-4]}user/a"})), {})


def test_key_policy_that_names_the_role_is_sufficient() -> None:
    a_role()
    via = {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}}
    key = a_key(DELEGATING, allow("kms:Decrypt", Principal={"AWS": ROLE}, Condition=via))
    assert allows(assume(), "kms:Decrypt", key, {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"})
    assert not allows(assume(), "kms:Decrypt", key, {})


@pytest.mark.parametrize("where", ["identity", "key"])
def test_explicit_deny_overrides_policies_and_grants(where: str) -> None:
    deny = {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*"}
    a_role(allow("kms:*"), *([deny] if where == "identity" else []))
    caller = assume()
    key = a_key(DELEGATING, *([deny | {"Principal": "*"}] if where == "key" else []))
    kms._create_grant({"KeyId": key, "GranteePrincipal": ROLE, "Operations": ["Decrypt"]})
    assert not allows(caller, "kms:Decrypt", key, {})


def test_via_aws_service_distinguishes_calls_on_behalf_of_the_caller() -> None:
    a_role(allow("secretsmanager:GetSecretValue", Condition={"Bool": {"aws:ViaAWSService": "true"}}))
    secret, action = a_secret(), "secretsmanager:GetSecretValue"
    assert allows(assume(), action, secret, {"aws:ViaAWSService": "true"})
    assert not allows(assume(), action, secret, {})


def test_secret_policy_that_names_the_role_is_sufficient() -> None:
    a_role()
    secret = a_secret(allow("secretsmanager:GetSecretValue", Principal={"AWS": ROLE}))
    assert allows(assume(), "secretsmanager:GetSecretValue", secret, {})


def test_service_principal_is_allowed_by_a_policy_that_names_it() -> None:
    source = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    secret = a_secret(allow("secretsmanager:GetSecretValue", Principal={"Service": SERVICE}, Condition=source))
    action = "secretsmanager:GetSecretValue"
    assert service_allows(SERVICE, action, secret, {"aws:SourceAccount": ACCOUNT})
    assert not service_allows(SERVICE, action, secret, {})
    assert not service_allows("mediaconnect.amazonaws.com", action, secret, {"aws:SourceAccount": ACCOUNT})


def test_account_principal_does_not_match_a_service() -> None:
    secret = a_secret(allow("secretsmanager:GetSecretValue", Principal={"AWS": ROOT}))
    assert not service_allows(SERVICE, "secretsmanager:GetSecretValue", secret, {})
    assert not service_allows(SERVICE, "secretsmanager:GetSecretValue", a_key(DELEGATING), {})


def test_grant_allows_a_service_within_its_encryption_context() -> None:
    key = a_key(DELEGATING)
    constraint = {"EncryptionContextSubset": {"SecretARN": "this"}}
    grant = {"KeyId": key, "GranteePrincipal": SERVICE, "Operations": ["Decrypt"], "Constraints": constraint}
    kms._create_grant(grant)
    context = {"kms:EncryptionContext:SecretARN": "this", "kms:EncryptionContext:SecretVersionId": "1"}
    assert service_allows(SERVICE, "kms:Decrypt", key, context)
    assert not service_allows(SERVICE, "kms:Encrypt", key, context)
    assert not grant_allows(SERVICE, "kms:Decrypt", key, context | {"kms:EncryptionContext:SecretARN": "other"})


def test_grant_with_source_arn_only_applies_to_that_source() -> None:
    key, source = a_key(DELEGATING), f"arn:aws:mediatailor:us-east-1:{ACCOUNT}:sourceLocation/a"
    members = {"GranteeServicePrincipal": SERVICE, "RetiringServicePrincipal": SERVICE}
    kms._create_grant({"KeyId": key, "Operations": ["Decrypt"], "Constraints": {"SourceArn": source}} | members)
    assert grant_allows(SERVICE, "kms:Decrypt", key, {"aws:SourceArn": source})
    assert not grant_allows(SERVICE, "kms:Decrypt", key, {"aws:SourceArn": f"{source}-b"})
