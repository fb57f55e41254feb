"""A plan changes nothing, and a request that follows it makes the planned calls and no other, or is rejected."""

import json
import re
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from local_aws.tools.embedded_aws import Embedded
from tests.sampling import each_value
from tests.workflow.consumer_resources import CONSUMERS, adobe_detail
from tests.workflow.onboarding import MEMBER, ORIGIN, Onboarding
from tests.workflow.planning import Detail, Planning, counted, of_kind

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def planning(onboarding: Onboarding) -> Planning:
    return Planning(onboarding)


def value() -> str:
    return json.dumps({MEMBER: secrets.token_hex(10)})


def existing(arn: str, **members: Any) -> Detail:
    return {"secret": {"value": {"existing": {"secretArn": arn}}, **members}}


def copied(arn: str) -> Detail:
    return {"secret": {"value": {"copyFrom": {"secretArn": arn, "key": MEMBER}}}}


def new_access(onboarding: Onboarding) -> Detail:
    return onboarding.detail()


def handed_off(onboarding: Onboarding) -> Detail:
    detail = onboarding.detail()
    return detail | {"resource": detail["resource"] | {"configure": False}}


def adopted_secret(onboarding: Onboarding) -> Detail:
    return onboarding.detail(**existing(onboarding.new_secret(value())))


def adopted_key_and_secret(onboarding: Onboarding) -> Detail:
    key = onboarding.new_key()
    return onboarding.detail(key={"arn": key}, **existing(onboarding.new_secret(value(), KmsKeyId=key)))


def moved_secret(onboarding: Onboarding) -> Detail:
    return onboarding.detail(**existing(onboarding.new_secret(value(), KmsKeyId=onboarding.new_key()), moveKey=True))


def imported_token(onboarding: Onboarding) -> Detail:
    return onboarding.detail(**copied(onboarding.new_secret(value(), consent="import")))


def replaced_token(onboarding: Onboarding) -> Detail:
    """Another token is copied into the secret of the access."""
    detail = onboarding.detail(**copied(onboarding.new_secret(value(), consent="import")))
    onboarding.onboard(detail)
    return detail | copied(onboarding.new_secret(value(), consent="import"))


def unchanged(onboarding: Onboarding) -> Detail:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    return detail


def unchanged_copy(onboarding: Onboarding) -> Detail:
    detail = imported_token(onboarding)
    onboarding.onboard(detail)
    return detail


def second_access(onboarding: Onboarding) -> Detail:
    """The key of another access is used, whose policy admits the tenant's secrets already."""
    first = onboarding.detail()
    onboarding.onboard(first)
    return onboarding.detail(key=first["key"])


def with_origin_readers(onboarding: Onboarding) -> Detail:
    """The policies of an access are extended."""
    detail = onboarding.detail()
    onboarding.onboard(detail)
    return detail | {"secret": {**detail.get("secret", {}), "originReaders": [ORIGIN]}}


def other_rotation(onboarding: Onboarding) -> Detail:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    return detail | {"key": detail["key"] | {"rotationDays": 180}}


def lost_grant(onboarding: Onboarding) -> Detail:
    """A person revoked the grant of an access."""
    onboarding.aws.control("PUT", "assumptions", {"trail": {"lose": 1}})
    detail = onboarding.detail()
    resources = onboarding.onboard(detail)["resources"]
    onboarding.kms.revoke_grant(KeyId=resources["keyArn"], GrantId=resources["grantId"])
    return detail


def partner(_: Onboarding) -> Detail:
    return adobe_detail()


MEDIATAILOR: tuple[Callable[[Onboarding], Detail], ...] = (
    new_access,
    handed_off,
    adopted_secret,
    adopted_key_and_secret,
    moved_secret,
    imported_token,
    replaced_token,
    unchanged,
    unchanged_copy,
    second_access,
    with_origin_readers,
    other_rotation,
    lost_grant,
    partner,
)


@pytest.mark.parametrize("case", MEDIATAILOR, ids=[case.__name__ for case in MEDIATAILOR])
def test_a_request_makes_the_planned_calls_and_no_other(
    planning: Planning, onboarding: Onboarding, case: Callable[[Onboarding], Detail]
) -> None:
    detail = case(onboarding)
    plan = planning.plan(detail)

    outcome = planning.follow(detail, plan["planHash"])

    assert outcome["detail-type"] in ("Access Onboarded", "Access Handed Off"), json.dumps(outcome["detail"], indent=2)
    assert planning.changing_calls() == counted(plan)
    assert plan["permissions"] == []


def staged(detail: Detail) -> Detail:
    return {name: given for name, given in detail.items() if name != "takesEffectNow"}


def handing_off(detail: Detail) -> Detail:
    return staged(detail) | {"resource": detail["resource"] | {"configure": False}}


def at_once(detail: Detail) -> Detail:
    return detail


FORMS: dict[str, Callable[[Detail], Detail]] = {"at once": at_once, "staged": staged, "handed off": handing_off}


@pytest.mark.parametrize(("kind", "form"), each_value(CONSUMERS, FORMS))
def test_every_system_makes_the_planned_calls_and_no_other(planning: Planning, aws: Embedded, kind: str, form: str) -> None:
    detail = FORMS[form](CONSUMERS[kind](aws).detail)
    plan = planning.plan(detail)

    outcome = planning.follow(detail, plan["planHash"])

    assert outcome["detail-type"] in ("Access Onboarded", "Access Handed Off"), json.dumps(outcome["detail"], indent=2)
    assert planning.changing_calls() == counted(plan)
    assert plan["permissions"] == []
    again = planning.plan(detail)
    assert again["calls"] == []
    assert {change["action"] for change in again["changes"]} == {"none"}
    if form != "staged" or outcome["detail-type"] == "Access Onboarded":
        return
    confirmation = {"accessId": outcome["detail"]["accessId"]}
    confirmed = planning.plan(confirmation, "Handoff Confirmed")
    outcome = planning.follow(confirmation, confirmed["planHash"], "Handoff Confirmed")
    assert outcome["detail-type"] == "Access Onboarded", json.dumps(outcome["detail"], indent=2)
    assert planning.changing_calls() == counted(confirmed) != {}
    assert confirmed["permissions"] == []


def test_a_plan_describes_every_resource(planning: Planning, onboarding: Onboarding) -> None:
    detail = onboarding.detail(secret={"originReaders": [ORIGIN]})

    plan = planning.plan(detail)

    assert {change["kind"]: change["action"] for change in plan["changes"]} == dict.fromkeys(
        ("alias", "key", "secret", "sourceLocation"), "create"
    )
    assert of_kind(plan, "key")["name"] == detail["key"]["alias"]
    assert plan["monthlyCost"] == 1.4
    assert counted(plan) == {
        "kms:CreateKey": 1,
        "kms:CreateAlias": 1,
        "kms:EnableKeyRotation": 1,
        "secretsmanager:CreateSecret": 1,
        "secretsmanager:PutResourcePolicy": 1,
        "mediatailor:CreateSourceLocation": 1,
    }
    [policy] = of_kind(plan, "secret")["policies"]
    assert {statement["Sid"] for statement in policy["added"]} >= {"LatchkeyMediatailorReading", "LatchkeyOriginReaders"}
    settings = {one["name"]: one["after"] for one in of_kind(plan, "sourceLocation")["settings"]}
    assert settings["baseUrl"] == detail["resource"]["baseUrl"]


def test_a_plan_shows_what_changes_in_policies_of_others(planning: Planning, onboarding: Onboarding) -> None:
    foreign = {"Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": ORIGIN}, "Action": "kms:DescribeKey", "Resource": "*"}
    key = onboarding.new_key(statements=(foreign,))
    secret = onboarding.new_secret(value())

    plan = planning.plan(onboarding.detail(key={"arn": key}, **existing(secret)))

    assert {change["kind"]: change["action"] for change in plan["changes"]} == {
        "key": "adopt",
        "secret": "adopt",
        "sourceLocation": "create",
    }
    [policy] = of_kind(plan, "key")["policies"]
    assert {statement["Sid"] for statement in policy["added"]} >= {"LatchkeyMediatailorManagement", "LatchkeySecretDecryption"}
    assert policy.get("removed", []) == policy.get("changed", []) == []
    assert [(one["name"], one["after"]) for one in of_kind(plan, "secret")["settings"]] == [("key", key)]
    assert plan["monthlyCost"] == 0


def test_a_plan_names_the_permission_that_a_guardrail_of_the_account_takes(planning: Planning, onboarding: Onboarding) -> None:
    iam, detail = onboarding.aws.client("iam"), onboarding.detail()
    pages = iam.get_paginator("list_roles").paginate()
    [role] = [one for page in pages for one in page["Roles"] if "CreateKeyFunctionRole" in one["RoleName"]]
    guard = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "kms:CreateAlias", "Resource": "*"}]}
    iam.put_role_policy(RoleName=role["RoleName"], PolicyName="Guardrail", PolicyDocument=json.dumps(guard))

    plan = planning.plan(detail)

    assert {(one["principal"], one["action"]) for one in plan["permissions"]} == {(role["Arn"], "kms:CreateAlias")}
    assert any(detail["key"]["alias"] in one["resource"] for one in plan["permissions"])


def test_a_plan_is_the_same_as_long_as_nothing_changes(planning: Planning, onboarding: Onboarding) -> None:
    detail = adopted_key_and_secret(onboarding)

    hashes = {planning.plan(detail)["planHash"] for _ in range(3)}

    assert len(hashes) == 1


def put_policy(onboarding: Onboarding, detail: Detail) -> None:
    theirs = {"Sid": "Later", "Effect": "Allow", "Principal": {"AWS": ORIGIN}, "Action": "kms:DescribeKey", "Resource": "*"}
    policy = onboarding.key_policy(detail["key"]["arn"])
    policy["Statement"].append(theirs)
    onboarding.kms.put_key_policy(KeyId=detail["key"]["arn"], PolicyName="default", Policy=json.dumps(policy))


def put_value(onboarding: Onboarding, detail: Detail) -> None:
    onboarding.secretsmanager.put_secret_value(SecretId=secret_of(detail), SecretString=value())


def create_location(onboarding: Onboarding, detail: Detail) -> None:
    onboarding.mediatailor.create_source_location(
        SourceLocationName=detail["resource"]["sourceLocation"],
        HttpConfiguration={"BaseUrl": detail["resource"]["baseUrl"]},
        Tags={"latchkey:consent": "adopt"},
    )


def tag_secret(onboarding: Onboarding, detail: Detail) -> None:
    onboarding.secretsmanager.tag_resource(SecretId=secret_of(detail), Tags=[{"Key": "team", "Value": "sports"}])


def secret_of(detail: Detail) -> str:
    return str(detail["secret"]["value"]["existing"]["secretArn"])


CHANGES: dict[str, tuple[Callable[[Onboarding, Detail], None], str]] = {
    "a statement in the key policy": (put_policy, "the policy of the key"),
    "another version of the secret": (put_value, "the secret"),
    "a tag of the secret": (tag_secret, "the secret"),
    "a new source location": (create_location, "mediatailor:UpdateSourceLocation"),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_a_request_whose_plan_is_out_of_date_is_rejected_with_what_differs(
    planning: Planning, onboarding: Onboarding, changed: str
) -> None:
    change, named = CHANGES[changed]
    detail = adopted_key_and_secret(onboarding)
    plan = planning.plan(detail)

    change(onboarding, detail)
    rule = planning.rejected(detail, plan["planHash"])

    assert rule.startswith("plan is out of date")
    assert named in rule


def test_the_hash_of_another_request_is_rejected_as_such(planning: Planning, onboarding: Onboarding) -> None:
    plan = planning.plan(onboarding.detail())

    rule = planning.rejected(onboarding.detail(), plan["planHash"])

    assert plan["requestId"] in rule
    assert "out of date" not in rule


def test_a_hash_of_no_plan_is_rejected(planning: Planning, onboarding: Onboarding) -> None:
    assert "out of date" not in planning.rejected(onboarding.detail(), secrets.token_hex(32))


def test_a_plan_that_was_carried_out_cannot_be_carried_out_again(planning: Planning, onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    plan = planning.plan(detail)
    planning.follow(detail, plan["planHash"])

    assert planning.rejected(detail, plan["planHash"]).startswith("plan is out of date")


def test_a_plan_that_breaks_a_rule_is_rejected_like_its_request(planning: Planning, onboarding: Onboarding) -> None:
    detail = onboarding.detail(key={"arn": onboarding.new_key(consent=False)})
    before = onboarding.account_snapshot()

    assert onboarding.rejected_paths(detail | {"mode": "plan"}) == onboarding.rejected_paths(detail) == {"key.arn"}
    assert onboarding.account_snapshot() == before


def test_no_plan_contains_a_token(planning: Planning, onboarding: Onboarding) -> None:
    detail = replaced_token(onboarding)
    tokens = [
        json.loads(onboarding.secretsmanager.get_secret_value(SecretId=one["ARN"])["SecretString"])[MEMBER]
        for page in onboarding.secretsmanager.get_paginator("list_secrets").paginate()
        for one in page["SecretList"]
    ]

    plan = json.dumps(planning.plan(detail))

    assert len(tokens) >= 2
    assert not any(re.search(re.escape(token), plan) for token in tokens)
