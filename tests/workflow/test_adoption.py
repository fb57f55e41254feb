"""With consent, Latchkey uses keys and secrets that it did not create, and preserves their contents."""

import json
import re
import secrets
import uuid
from collections.abc import Callable
from typing import Any

from local_aws.emulator.account import ACCOUNT, REGION
from tests.workflow.onboarding import MEMBER, ORIGIN, Onboarding

READ_BY_ORIGIN = {"Effect": "Allow", "Principal": {"AWS": ORIGIN}, "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
USE_BY_ORIGIN = {"Effect": "Allow", "Principal": {"AWS": ORIGIN}, "Action": "kms:DescribeKey", "Resource": "*"}


def _existing(secret_arn: str, **members: bool) -> dict[str, object]:
    return {"value": {"existing": {"secretArn": secret_arn}}, **members}


def _value() -> str:
    return json.dumps({MEMBER: secrets.token_hex(16), "other": "member"})


def test_adopted_key_keeps_every_foreign_statement(onboarding: Onboarding) -> None:
    # Statements without a Sid and equal statements are both valid.
    key_arn = onboarding.new_key(statements=(USE_BY_ORIGIN, USE_BY_ORIGIN))
    before = onboarding.key_policy(key_arn)["Statement"]

    resources = onboarding.onboard(onboarding.detail(key={"arn": key_arn}))["resources"]

    assert resources["keyArn"] == key_arn
    after = onboarding.key_policy(key_arn)["Statement"]
    assert after[: len(before)] == before
    assert {s["Sid"] for s in after[len(before) :]} == {"LatchkeyMediatailorManagement", "LatchkeySecretDecryption"}


def test_key_whose_lockout_check_ignores_tag_conditions_must_name_the_writers(
    onboarding: Onboarding, assume: Callable[..., Any]
) -> None:
    assume(lockoutCountsTagConditions=False)
    roles = [role["Arn"] for role in onboarding.aws.client("iam").list_roles()["Roles"]]
    writers = [arn for arn in roles if re.search(r"latchkey-(CreateKey|AttachPolicies|UndoOnboarding)Function", arn)]
    key_arn = onboarding.new_key()
    before = onboarding.account_snapshot()

    failed = onboarding.send(onboarding.detail(key={"arn": key_arn}))

    assert (failed["detail-type"], failed["detail"]["failure"]["name"]) == ("Request Failed", "Conflict")
    assert len(writers) == 3
    assert all(writer in failed["detail"]["failure"]["message"] for writer in writers)
    assert failed["detail"]["left"] == []
    assert onboarding.account_snapshot()["keys"][key_arn] == before["keys"][key_arn]

    naming = {"Effect": "Allow", "Principal": {"AWS": writers}, "Action": "kms:PutKeyPolicy", "Resource": "*"}
    named = onboarding.new_key(statements=(naming,))
    assert onboarding.onboard(onboarding.detail(key={"arn": named}))["resources"]["keyArn"] == named


def test_key_without_consent_is_not_changed(onboarding: Onboarding) -> None:
    key_arn = onboarding.new_key(consent=False)
    before = onboarding.account_snapshot()

    rules = onboarding.reject(onboarding.detail(key={"arn": key_arn}))

    assert f"latchkey:consent=adopt to {key_arn}" in rules["key.arn"]
    assert onboarding.account_snapshot() == before


def test_key_whose_policy_would_be_too_long_is_rejected_with_the_numbers_before_any_change(onboarding: Onboarding) -> None:
    every = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
    reading = {"Effect": "Allow", "Principal": {"AWS": ORIGIN}, "Action": "kms:DescribeKey", "Resource": "*"}
    statements = [every, *(reading | {"Sid": f"Auditor{number:0>50}"} for number in range(172))]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    key_arn = onboarding.new_key(Policy=policy)
    assert 32_000 < len(policy) <= 32_768
    before = onboarding.account_snapshot()

    rules = onboarding.reject(onboarding.detail(key={"arn": key_arn}))

    assert set(rules) == {"key.arn"}
    assert "AWS accepts 32768" in rules["key.arn"]
    assert onboarding.account_snapshot() == before


def test_key_that_does_not_delegate_to_iam_is_rejected_with_the_missing_statement(onboarding: Onboarding) -> None:
    key_arn = onboarding.new_key()
    owner = f"arn:aws:iam::{ACCOUNT}:root"
    only = {"Effect": "Allow", "Principal": {"AWS": owner}, "Action": "kms:Put*", "Resource": "*"}
    see = only | {"Action": ["kms:Describe*", "kms:Get*", "kms:List*"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [only, see]})
    onboarding.kms.put_key_policy(KeyId=key_arn, PolicyName="default", Policy=policy)

    rules = onboarding.reject(onboarding.detail(key={"arn": key_arn}))

    assert "kms:*" in rules["key.arn"]
    assert owner in rules["key.arn"]


def test_adopted_secret_keeps_its_value_and_every_foreign_statement(onboarding: Onboarding) -> None:
    value = _value()
    key_arn = onboarding.new_key()
    secret_arn = onboarding.new_secret(value, KmsKeyId=key_arn)
    policy = json.dumps({"Version": "2012-10-17", "Statement": [READ_BY_ORIGIN, READ_BY_ORIGIN | {"Sid": "Theirs"}]})
    onboarding.secretsmanager.put_resource_policy(SecretId=secret_arn, ResourcePolicy=policy)
    before = onboarding.secret_policy(secret_arn)["Statement"]

    detail = onboarding.detail(key={"arn": key_arn}, secret=_existing(secret_arn), managementRoles=None)
    resources = onboarding.onboard(detail)["resources"]

    assert resources["secretArn"] == secret_arn
    after = onboarding.secret_policy(secret_arn)["Statement"]
    assert after[: len(before)] == before
    assert [s["Sid"] for s in after[len(before) :]] == ["LatchkeyMediatailorReading"]
    assert onboarding.secretsmanager.get_secret_value(SecretId=secret_arn)["SecretString"] == value


def test_secret_without_consent_is_not_changed(onboarding: Onboarding) -> None:
    secret_arn = onboarding.new_secret(_value(), consent=None)
    before = onboarding.account_snapshot()

    rules = onboarding.reject(onboarding.detail(secret=_existing(secret_arn)))

    assert f"latchkey:consent=adopt to {secret_arn}" in rules["secret.value.existing.secretArn"]
    assert onboarding.account_snapshot() == before


def test_secret_moves_from_the_default_key_and_its_readers_still_read_it(onboarding: Onboarding) -> None:
    secret_arn = onboarding.new_secret(_value())
    policy = json.dumps({"Version": "2012-10-17", "Statement": [READ_BY_ORIGIN]})
    onboarding.secretsmanager.put_resource_policy(SecretId=secret_arn, ResourcePolicy=policy)
    as_origin = onboarding.aws.assume(ORIGIN).client("secretsmanager", endpoint_url=onboarding.aws.url)

    resources = onboarding.onboard(onboarding.detail(secret=_existing(secret_arn)))["resources"]

    assert onboarding.secretsmanager.describe_secret(SecretId=secret_arn)["KmsKeyId"] == resources["keyArn"]
    assert MEMBER in as_origin.get_secret_value(SecretId=secret_arn)["SecretString"]


def test_secret_moves_from_another_customer_key_only_with_move_key(onboarding: Onboarding) -> None:
    former = onboarding.new_key()
    secret_arn = onboarding.new_secret(_value(), KmsKeyId=former)
    detail = onboarding.detail(secret=_existing(secret_arn))

    assert "moveKey" in onboarding.reject(detail)["secret.value.existing.secretArn"]
    assert onboarding.secretsmanager.describe_secret(SecretId=secret_arn)["KmsKeyId"] == former

    detail |= {"requestId": f"move-{detail['requestId']}", "secret": _existing(secret_arn, moveKey=True)}
    resources = onboarding.onboard(detail)["resources"]
    assert onboarding.secretsmanager.describe_secret(SecretId=secret_arn)["KmsKeyId"] == resources["keyArn"] != former


def test_token_is_imported_from_another_region(onboarding: Onboarding) -> None:
    token = secrets.token_hex(20)
    source = onboarding.new_secret(json.dumps({"theirs": token}), consent="import", region="eu-west-1")
    detail = onboarding.detail(secret={"value": {"copyFrom": {"secretArn": source, "key": "theirs"}}})

    resources = onboarding.onboard(detail)["resources"]

    assert resources["secretArn"].split(":")[3] == REGION
    assert onboarding.token(resources["secretArn"]) == token
    assert onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})["status"] == "unchanged"


def test_plain_text_secret_is_imported_without_a_member(onboarding: Onboarding) -> None:
    token = secrets.token_hex(20)
    source = onboarding.new_secret(token, consent="import")

    resources = onboarding.onboard(onboarding.detail(secret={"value": {"copyFrom": {"secretArn": source}}}))["resources"]

    assert onboarding.token(resources["secretArn"]) == token


def test_secret_with_a_requested_name_that_latchkey_did_not_create_is_rejected(onboarding: Onboarding) -> None:
    name = f"latchkey/{uuid.uuid4().hex}/token"
    onboarding.secretsmanager.create_secret(Name=name, SecretString=_value())

    assert onboarding.rejected_paths(onboarding.detail(secret={"name": name})) == {"secret.name"}
