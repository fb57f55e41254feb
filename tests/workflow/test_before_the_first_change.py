"""What AWS would refuse is rejected before anything is changed: a rejected request makes reads only, and repeats none."""

import json
import secrets
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from local_aws.emulator.account import ACCOUNT, REGION
from tests.workflow.onboarding import MEMBER, Onboarding

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
SERVICES = ("iam", "kms", "mediatailor", "secretsmanager")
READS = ("BatchGet", "Describe", "Get", "List", "Simulate")
ELSEWHERE = "eu-west-1"

type Change = Callable[[Onboarding], dict[str, Any]]


def deny(action: str, condition: dict[str, Any] | None = None, **principal: Any) -> dict[str, Any]:
    statement = {"Sid": "Guard", "Effect": "Deny", "Action": action, "Resource": "*", **(principal or {"Principal": "*"})}
    return statement | ({"Condition": condition} if condition else {})


def allow(principal: Any, action: str, **members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*", **members}


def value() -> str:
    return json.dumps({MEMBER: secrets.token_hex(10)})


def existing(arn: str, **members: Any) -> dict[str, Any]:
    return {"secret": {"value": {"existing": {"secretArn": arn}}, **members}}


def key_with(*statements: dict[str, Any], **changes: Any) -> Change:
    return lambda onboarding: {"key": {"arn": onboarding.new_key(statements=statements, **changes)}}


def secret_with(*statements: dict[str, Any]) -> Change:
    def make(onboarding: Onboarding) -> dict[str, Any]:
        arn = onboarding.new_secret(value())
        policy = json.dumps({"Version": "2012-10-17", "Statement": [*statements]})
        onboarding.secretsmanager.put_resource_policy(SecretId=arn, ResourcePolicy=policy)
        return existing(arn)

    return make


def of_deleted_role(make: Callable[[dict[str, Any]], Change], member: str) -> Change:
    """A policy that names a role, which is then deleted."""

    def change(onboarding: Onboarding) -> dict[str, Any]:
        iam, name = onboarding.aws.client("iam"), f"gone-{uuid.uuid4().hex[:8]}"
        trusting = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "sts:AssumeRole"}
        trust = {"Version": "2012-10-17", "Statement": [trusting]}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        made = make({"Sid": "Gone", "Effect": "Deny", member: {"AWS": [ROOT, arn]}, "Action": "kms:Encrypt", "Resource": "*"})
        detail = made(onboarding)
        iam.delete_role(RoleName=name)
        return detail

    return change


def replica(onboarding: Onboarding) -> dict[str, Any]:
    primary = onboarding.aws.client("secretsmanager", region_name=ELSEWHERE)
    arn = onboarding.new_secret(value(), region=ELSEWHERE)
    primary.replicate_secret_to_regions(SecretId=arn, AddReplicaRegions=[{"Region": REGION}])
    return existing(arn.replace(ELSEWHERE, REGION))


def without_value(onboarding: Onboarding) -> dict[str, Any]:
    tags = [{"Key": "latchkey:consent", "Value": "adopt"}]
    return existing(onboarding.secretsmanager.create_secret(Name=f"theirs/{uuid.uuid4()}/token", Tags=tags)["ARN"])


def binary(onboarding: Onboarding) -> dict[str, Any]:
    tags, name = [{"Key": "latchkey:consent", "Value": "adopt"}], f"theirs/{uuid.uuid4()}/token"
    return existing(onboarding.secretsmanager.create_secret(Name=name, SecretBinary=value().encode(), Tags=tags)["ARN"])


def incomplete_arn(onboarding: Onboarding) -> dict[str, Any]:
    """The name ends like the random suffix of an ARN."""
    tags = [{"Key": "latchkey:consent", "Value": "adopt"}]
    name = f"theirs/{uuid.uuid4().hex[:8]}/origin-secret"
    onboarding.secretsmanager.create_secret(Name=name, SecretString=value(), Tags=tags)
    return existing(f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}")


def dying_secret(onboarding: Onboarding) -> dict[str, Any]:
    arn = onboarding.new_secret(value())
    onboarding.secretsmanager.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    return existing(arn)


def disabled_key_of_secret(onboarding: Onboarding) -> dict[str, Any]:
    key = onboarding.new_key()
    arn = onboarding.new_secret(value(), KmsKeyId=key)
    onboarding.kms.disable_key(KeyId=key)
    return existing(arn, moveKey=True)


def aws_managed_key(onboarding: Onboarding) -> dict[str, Any]:
    return {"key": {"arn": onboarding.kms.describe_key(KeyId="alias/aws/secretsmanager")["KeyMetadata"]["Arn"]}}


def multi_region_replica(onboarding: Onboarding) -> dict[str, Any]:
    primary = onboarding.aws.client("kms", region_name=ELSEWHERE)
    key = primary.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    tags = [{"TagKey": "latchkey:consent", "TagValue": "adopt"}]
    return {"key": {"arn": primary.replicate_key(KeyId=key, ReplicaRegion=REGION, Tags=tags)["ReplicaKeyMetadata"]["Arn"]}}


def long(characters: int) -> dict[str, Any]:
    """A statement of about this length."""
    users = {"StringLike": {"aws:userid": [f"{number:098}" for number in range(characters // 101)]}}
    return {"Sid": "Long", **allow({"AWS": ROOT}, "kms:DescribeKey"), "Condition": users}


OLD = {"Sid": "Reporting", **allow({"AWS": ROOT}, "kms:DescribeKey"), "Resource": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"}
NOT_OWNER = {"ArnNotEquals": {"aws:PrincipalArn": [ROOT, f"arn:aws:iam::{ACCOUNT}:role/Owner"]}}
KEY, SECRET = "key.arn", "secret.value.existing.secretArn"
GET = "secretsmanager:GetSecretValue"

# How a request differs from a valid one, the path of its rejection, and what the rejection names.
CASES: dict[str, tuple[Change, str, str]] = {
    "key policy with a resource": (key_with(OLD), KEY, "Reporting"),
    "key policy without an action": (key_with({**OLD, "Resource": "*", "Action": []}), KEY, "Reporting"),
    "key policy with a deleted principal": (of_deleted_role(key_with, "Principal"), KEY, "Gone"),
    "key policy that spares a deleted principal": (of_deleted_role(key_with, "NotPrincipal"), KEY, "Gone"),
    "key policy that would be too long": (key_with(long(32_000)), KEY, "32768"),
    "key policy that denies changing it": (key_with(deny("kms:PutKeyPolicy", NOT_OWNER)), KEY, "Guard"),
    "key policy that denies reading it": (key_with(deny("kms:GetKeyPolicy", NOT_OWNER)), KEY, ""),
    "key policy that denies decrypting": (key_with(deny("kms:Decrypt", NOT_OWNER)), KEY, "mediatailor.amazonaws.com"),
    "key policy that denies grants": (key_with(deny("kms:CreateGrant", NOT_OWNER)), KEY, "Guard"),
    "HMAC key": (key_with(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC"), KEY, "symmetric"),
    "multi-Region replica": (multi_region_replica, KEY, "multi-Region"),
    "key without imported material": (key_with(Origin="EXTERNAL"), KEY, "PendingImport"),
    "AWS managed key": (aws_managed_key, KEY, "AWS managed"),
    "public secret": (secret_with(allow("*", GET, Sid="Everybody")), SECRET, "Everybody"),
    "public secret over TLS": (
        secret_with(allow("*", GET, Condition={"Bool": {"aws:SecureTransport": "true"}})),
        SECRET,
        "Statement[0]",
    ),
    "secret policy with a deleted principal": (of_deleted_role(secret_with, "Principal"), SECRET, "Gone"),
    "secret policy that would be too long": (secret_with(long(20_000)), SECRET, "20480"),
    "secret policy that denies everybody": (secret_with(deny(GET, NOT_OWNER)), SECRET, "mediatailor.amazonaws.com"),
    "secret policy that denies other services": (
        secret_with(
            deny(
                "*",
                {
                    "ArnNotLikeIfExists": {"aws:PrincipalArn": [ROOT, f"arn:aws:iam::{ACCOUNT}:role/latchkey-*"]},
                    "StringNotEqualsIfExists": {"aws:PrincipalServiceName": ["appflow.amazonaws.com"]},
                },
            )
        ),
        SECRET,
        "mediatailor.amazonaws.com",
    ),
    "secret policy that denies other organizations": (
        secret_with(
            deny(
                GET,
                {
                    "StringNotEquals": {"aws:PrincipalOrgID": "o-exampleorgid"},
                    "ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/latchkey-*"},
                },
            )
        ),
        SECRET,
        "mediatailor.amazonaws.com",
    ),
    "secret policy that denies changing it": (
        secret_with(deny("secretsmanager:Put*", NOT_OWNER)),
        SECRET,
        "Guard",
    ),
    "secret policy that denies reading it": (
        secret_with(deny("secretsmanager:*", {"ArnNotEquals": {"aws:PrincipalArn": ROOT}})),
        SECRET,
        "role/latchkey-*",
    ),
    "replica of a secret": (replica, SECRET, ELSEWHERE),
    "secret without a value": (without_value, SECRET, "AWSCURRENT"),
    "binary secret": (binary, "secret.value.existing", "binary"),
    "incomplete ARN": (incomplete_arn, SECRET, "origin-secret-"),
    "secret scheduled for deletion": (dying_secret, SECRET, "deletion"),
    "secret under a disabled key": (disabled_key_of_secret, SECRET, "Disabled"),
}


def calls(onboarding: Onboarding) -> dict[tuple[str, str, str], int]:
    """How often each role of the stack has made each call to the services that an access uses."""
    return {
        (call["principal"].split("/")[1], call["service"], call["operation"]): call["count"]
        for call in onboarding.aws.control("GET", "calls")
        if ":assumed-role/latchkey-" in call["principal"] and call["service"] in SERVICES
    }


@pytest.mark.parametrize("case", CASES)
def test_what_aws_would_refuse_is_rejected_by_reads_alone(onboarding: Onboarding, case: str) -> None:
    change, path, named = CASES[case]
    detail = onboarding.detail(**change(onboarding))
    before = onboarding.account_snapshot()
    onboarding.aws.control("DELETE", "calls")

    rules = onboarding.reject(detail)

    made = calls(onboarding)
    assert set(rules) == {path}
    assert named in rules[path]
    assert {call for call in made if not call[2].startswith(READS)} == set()
    # check_request runs once more after the value was checked, and reads keys, policies and secrets by several names.
    assert max(made.values()) <= 4, made
    assert onboarding.account_snapshot() == before


def import_material(onboarding: Onboarding, key: str) -> None:
    """Imports key material as an owner does."""
    wrapping = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
    answer = onboarding.kms.get_parameters_for_import(KeyId=key, **wrapping)
    public: Any = serialization.load_der_public_key(answer["PublicKey"])
    scheme = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    onboarding.kms.import_key_material(
        KeyId=key,
        ImportToken=answer["ImportToken"],
        EncryptedKeyMaterial=public.encrypt(secrets.token_bytes(32), scheme),
        ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
    )


def test_a_key_with_imported_material_is_adopted(onboarding: Onboarding) -> None:
    key = onboarding.new_key(Origin="EXTERNAL")
    import_material(onboarding, key)

    assert onboarding.onboard(onboarding.detail(key={"arn": key}))["resources"]["keyArn"] == key


@pytest.mark.parametrize("name", ["ARN", "alias", "alias ARN"])
def test_a_secret_under_the_default_key_by_any_name_keeps_its_readers(onboarding: Onboarding, name: str) -> None:
    metadata = onboarding.kms.describe_key(KeyId="alias/aws/secretsmanager")["KeyMetadata"]
    names = {
        "ARN": metadata["Arn"],
        "alias": "alias/aws/secretsmanager",
        "alias ARN": f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/aws/secretsmanager",
    }
    arn = onboarding.new_secret(value(), KmsKeyId=names[name])

    resources = onboarding.onboard(onboarding.detail(**existing(arn)))["resources"]

    statements = {statement["Sid"]: statement for statement in onboarding.key_policy(resources["keyArn"])["Statement"]}
    assert arn in json.dumps(statements["LatchkeyFormerDefaultKey"])
    assert onboarding.secretsmanager.describe_secret(SecretId=arn)["KmsKeyId"] == resources["keyArn"]


def test_statements_that_deny_others_are_no_obstacle(onboarding: Onboarding) -> None:
    """Typical guards of a company: only its organization, its roles and AWS services, and only over TLS."""
    spared = {"ArnNotLikeIfExists": {"aws:PrincipalArn": [ROOT, f"arn:aws:iam::{ACCOUNT}:role/latchkey-*"]}}
    no_service = {"BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}
    guards = (
        deny("*", spared | no_service, Principal="*"),
        deny("*", {"Bool": {"aws:SecureTransport": "false"}}, Principal="*"),
    )
    change = secret_with(*(guard | {"Sid": f"Guard{at}"} for at, guard in enumerate(guards)))
    key = onboarding.new_key(statements=(deny("kms:ScheduleKeyDeletion", NOT_OWNER), deny("kms:PutKeyPolicy", spared)))

    assert onboarding.onboard(onboarding.detail(key={"arn": key}, **change(onboarding)))["status"] == "active"
