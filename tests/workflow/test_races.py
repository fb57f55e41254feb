"""Requests that meet: one after the other for one access, together for what they share."""

import json
import secrets

from local_aws.embedded import until
from tests.workflow.conftest import MEMBER, ORIGIN, Onboarding


def test_requests_for_one_new_alias_make_one_key(onboarding: Onboarding) -> None:
    alias = {"alias": f"alias/latchkey/{secrets.token_hex(4)}"}
    details = [onboarding.detail(key=alias) for _ in range(4)]

    for detail in details:
        onboarding.put(detail)
    outcomes = [onboarding.outcomes.wait_for(detail["requestId"], 120) for detail in details]

    assert [event["detail-type"] for event in outcomes] == ["Access Onboarded"] * 4, outcomes
    (key_arn,) = {event["detail"]["resources"]["keyArn"] for event in outcomes}
    sent = {detail["requestId"] for detail in details}
    keys = [key["KeyId"] for page in onboarding.kms.get_paginator("list_keys").paginate() for key in page["Keys"]]
    tagged = [key for key in keys for tag in onboarding.kms.list_resource_tags(KeyId=key)["Tags"] if tag["TagValue"] in sent]
    assert [key for key in tagged if key in key_arn] == tagged
    secret_arns = [event["detail"]["resources"]["secretArn"] for event in outcomes]
    patterns = next(s for s in onboarding.key_policy(key_arn)["Statement"] if s["Sid"] == "LatchkeySecretDecryption")
    allowed = patterns["Condition"]["StringLike"]["kms:EncryptionContext:SecretARN"]
    assert {arn[:-6] for arn in secret_arns} == {pattern.removesuffix("??????") for pattern in allowed}


def test_accesses_that_share_a_secret_at_once_lose_no_statement(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    made = onboarding.onboard(first)["resources"]
    existing = {"value": {"existing": {"secretArn": made["secretArn"]}}, "originReaders": [ORIGIN]}
    details = [onboarding.detail(key=first["key"], secret=existing, managementRoles=None) for _ in range(4)]

    for detail in details:
        onboarding.put(detail)
    outcomes = [onboarding.outcomes.wait_for(detail["requestId"], 120) for detail in details]

    assert [event["detail-type"] for event in outcomes] == ["Access Onboarded"] * 4, outcomes
    sids = [statement["Sid"] for statement in onboarding.secret_policy(made["secretArn"])["Statement"]]
    assert sorted(sids) == ["LatchkeyManagementRoles", "LatchkeyMediatailorReading", "LatchkeyOriginReaders"]
    assert len(onboarding.grants(made["keyArn"])) == 5


def test_two_requests_for_one_access_run_one_after_the_other_and_the_last_stands(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    name = first["resource"]["sourceLocation"]
    second = onboarding.detail(name) | {"resource": first["resource"] | {"header": "X-Other-Token"}}

    onboarding.put(first)
    until(lambda: first["key"]["alias"] in onboarding.everything()["aliases"], "the first request's key", 30)
    onboarding.put(second)
    outcomes = [onboarding.outcomes.wait_for(detail["requestId"], 120) for detail in (first, second)]

    assert [event["detail-type"] for event in outcomes] == ["Access Onboarded"] * 2, outcomes
    assert len({event["detail"]["resources"]["secretArn"] for event in outcomes}) == 1
    access = onboarding.location(name)["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]
    assert access["HeaderName"] == "X-Other-Token"


def test_a_token_of_another_access_is_not_copied_or_replaced_or_moved(onboarding: Onboarding) -> None:
    victim = onboarding.detail()
    made = onboarding.onboard(victim)["resources"]
    sharing = {"value": {"existing": {"secretArn": made["secretArn"]}}}
    onboarding.onboard(onboarding.detail(key=victim["key"], secret=sharing, managementRoles=None))
    token = onboarding.token(made["secretArn"])
    theirs = onboarding.new_secret(json.dumps({MEMBER: secrets.token_hex(10)}), consent="import")
    name = onboarding.secretsmanager.describe_secret(SecretId=made["secretArn"])["Name"]

    copied = {"value": {"copyFrom": {"secretArn": made["secretArn"], "key": MEMBER}}}
    assert "consent = import" in onboarding.reject(onboarding.detail(secret=copied))["secret.value.copyFrom.secretArn"]
    replaced = {"name": name, "value": {"copyFrom": {"secretArn": theirs, "key": MEMBER}}}
    assert "another access" in onboarding.reject(onboarding.detail(key=victim["key"], secret=replaced))["secret.name"]
    moved = onboarding.detail(secret=sharing | {"moveKey": True})
    assert "read the same secret" in onboarding.reject(moved)["secret.moveKey"]

    assert onboarding.token(made["secretArn"]) == token
    assert onboarding.secretsmanager.describe_secret(SecretId=made["secretArn"])["KmsKeyId"] == made["keyArn"]
