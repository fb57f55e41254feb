"""Whether a policy delegates to IAM, admits a service, or is public."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey import policies
from latchkey.place import Place
from tests.policies.foreign import KEY_POLICIES, document
from tests.unit.samples import ACCOUNT, EXISTING_ARN, PLACE, REGION, SECRET_ARN, role

SERVICE, ACTION = "mediatailor.amazonaws.com", "secretsmanager:GetSecretValue"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def delegation(**members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"} | members


@pytest.mark.parametrize(
    ("statement", "delegates"),
    [
        (delegation(), True),
        (delegation(Sid="Enable IAM User Permissions"), True),
        (delegation(Principal={"AWS": [role("A"), ROOT]}), True),
        (delegation(Principal={"AWS": ACCOUNT}), True),
        (delegation(Action=["kms:*"]), True),
        (delegation(Action="*"), True),
        (delegation(Condition={}), True),
        (delegation(Effect="Deny"), False),
        (delegation(Principal={"AWS": "arn:aws:iam::999988887777:root"}), False),
        (delegation(Principal={"AWS": role("root")}), False),
        (delegation(Principal={"Service": ROOT}), False),
        (delegation(Action=["kms:Create*", "kms:Put*"]), False),
        (delegation(Condition={"StringEquals": {"aws:PrincipalTag/team": "a"}}), False),
    ],
    ids=str,
)
def test_delegation_is_recognized_by_content_and_not_by_sid(statement: dict[str, Any], delegates: bool) -> None:
    assert policies.delegates_to_iam(document(statement), PLACE) is delegates


@pytest.mark.parametrize("name", KEY_POLICIES)
def test_common_key_policies_delegate(name: str) -> None:
    assert policies.delegates_to_iam(KEY_POLICIES[name], PLACE)


def test_delegation_depends_on_the_partition() -> None:
    china = Place(partition="aws-cn", account=ACCOUNT, region="cn-north-1")
    assert not policies.delegates_to_iam(document(delegation()), china)
    assert policies.delegates_to_iam(policies.new_document([policies.delegation(china)]), china)


def admission(**members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": ACTION, "Resource": SECRET_ARN} | members


def admits(*statements: dict[str, Any]) -> bool:
    return policies.admits_service(document(*statements), SERVICE, ACTION, SECRET_ARN)


@pytest.mark.parametrize(
    ("statement", "admitted"),
    [
        (admission(), True),
        (admission(Resource="*"), True),
        (admission(Resource=[EXISTING_ARN, SECRET_ARN]), True),
        (admission(Action=["secretsmanager:DescribeSecret", ACTION]), True),
        (admission(Action="secretsmanager:*"), True),
        (admission(Action="*"), True),
        (admission(Action="SecretsManager:GetSecret*"), True),
        (admission(Resource=f"{SECRET_ARN[:-7]}-??????"), True),
        (admission(Principal="*"), True),
        (admission(Principal={"Service": ["ec2.amazonaws.com", SERVICE]}), True),
        (admission(Principal={"Service": "mediapackage.amazonaws.com"}), False),
        (admission(Principal={"AWS": ROOT}), False),
        (admission(Action="secretsmanager:DescribeSecret"), False),
        (admission(Resource=EXISTING_ARN), False),
        (admission(Resource=SECRET_ARN.upper()), False),
        # The ARN in the example of MediaTailor ends in the name. Without its last six characters, it is another secret.
        (admission(Resource=SECRET_ARN[:-7]), False),
        (admission(Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}}), False),
        (admission(Effect="Deny"), False),
    ],
    ids=str,
)
def test_an_allow_statement_for_the_service_admits_it(statement: dict[str, Any], admitted: bool) -> None:
    assert admits(statement) is admitted


OVERRULING: dict[str, dict[str, Any]] = {
    "everyone": admission(Effect="Deny", Principal="*"),
    "every AWS principal": admission(Effect="Deny", Principal={"AWS": "*"}),
    "the service": admission(Effect="Deny", Principal={"Service": [SERVICE]}),
    "all actions": admission(Effect="Deny", Principal="*", Action="secretsmanager:*"),
    "any action": admission(Effect="Deny", Principal="*", Action="*", Resource="*"),
    "actions by a pattern": admission(Effect="Deny", Principal="*", Action="secretsmanager:Get*"),
    "actions in another case": admission(Effect="Deny", Principal="*", Action="secretsmanager:getsecretvalue"),
    "resources by a pattern": admission(Effect="Deny", Principal="*", Resource=f"arn:aws:secretsmanager:{REGION}:*:secret:*"),
    "all but another service": {
        "Effect": "Deny",
        "NotPrincipal": {"Service": "ec2.amazonaws.com"},
        "Action": ACTION,
        "Resource": "*",
    },
    "all but one secret": {"Effect": "Deny", "Principal": "*", "Action": "*", "NotResource": EXISTING_ARN},
    "all but one principal": {"Effect": "Deny", "NotPrincipal": {"AWS": role("A")}, "Action": ACTION, "Resource": "*"},
    "all but one action": {
        "Effect": "Deny",
        "Principal": "*",
        "NotAction": "secretsmanager:DescribeSecret",
        "Resource": "*",
    },
}


@pytest.mark.parametrize("denial", OVERRULING.values(), ids=OVERRULING)
def test_a_deny_statement_for_the_service_overrides_the_allow(denial: dict[str, Any]) -> None:
    assert not admits(admission(), denial)


@pytest.mark.parametrize(
    "denial",
    [
        admission(Effect="Deny", Principal={"Service": "ec2.amazonaws.com"}),
        admission(Effect="Deny", Principal={"AWS": role("A")}),
        admission(Effect="Deny", Principal="*", Action="secretsmanager:DeleteSecret"),
        admission(Effect="Deny", Principal="*", Resource=EXISTING_ARN),
        admission(Effect="Deny", Principal="*", Condition={"Bool": {"aws:PrincipalIsAWSService": "false"}}),
        {"Effect": "Deny", "NotPrincipal": {"Service": [SERVICE]}, "Action": ACTION, "Resource": "*"},
        {"Effect": "Deny", "Principal": "*", "NotAction": "secretsmanager:Get*", "Resource": "*"},
        {"Effect": "Deny", "Principal": "*", "Action": ACTION, "NotResource": SECRET_ARN},
    ],
    ids=[
        "another service",
        "a role",
        "another action",
        "another secret",
        "on a condition",
        "all but the service",
        "all but reading",
        "all but the secret",
    ],
)
def test_a_deny_statement_for_others_does_not_affect_the_service(denial: dict[str, Any]) -> None:
    assert admits(admission(), denial)


def test_a_missing_policy_admits_nobody() -> None:
    assert not policies.admits_service(None, SERVICE, ACTION, SECRET_ARN)


@pytest.mark.parametrize(
    ("statement", "public"),
    [
        (admission(Principal="*"), True),
        (admission(Principal={"AWS": "*"}), True),
        (admission(Principal={"AWS": [role("A"), "*"]}), True),
        (admission(Principal="*", Condition={}), True),
        (admission(Principal="*", Effect="Deny"), False),
        (admission(Principal="*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-exampleorgid"}}), False),
        (admission(Principal={"AWS": ROOT}), False),
        (admission(), False),
    ],
    ids=str,
)
def test_an_allow_statement_for_everyone_without_condition_is_public(statement: dict[str, Any], public: bool) -> None:
    assert policies.is_public(document(admission(), statement)) is public


def test_an_allow_for_all_but_one_principal_is_public() -> None:
    assert policies.is_public(
        document({"Effect": "Allow", "NotPrincipal": {"AWS": role("A")}, "Action": ACTION, "Resource": "*"})
    )


def test_a_missing_policy_is_not_public() -> None:
    assert not policies.is_public(None)


def test_public_statements_are_listed_by_sid_or_position() -> None:
    everyone = admission(Principal="*")
    named = document(admission(Sid="One"), everyone | {"Sid": "Two"}, everyone, everyone | {"Effect": "Deny"})
    assert policies.public_statements(named) == ["Two", "Statement[2]"]
    assert policies.public_statements(None) == []


def test_a_partner_statement_has_our_sid_and_the_documented_actions() -> None:
    asked = policies.partner_use("arn:aws:iam::444455556666:root", ["kms:Encrypt", "kms:CreateGrant"])
    assert asked == {
        "Sid": "LatchkeyPartner444455556666",
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam::444455556666:root"]},
        "Action": ["kms:CreateGrant", "kms:Encrypt"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalAccount": "444455556666"}},
    }
    assert not policies.is_public(document(asked))


DELETED_ROLE, DELETED_USER = "AROAEXAMPLE1234567890", "AIDAEXAMPLE1234567890"


@pytest.mark.parametrize(
    ("principal", "deleted"),
    [
        ({"AWS": DELETED_ROLE}, [DELETED_ROLE]),
        ({"AWS": [DELETED_ROLE, role("A"), DELETED_USER, DELETED_ROLE]}, [DELETED_USER, DELETED_ROLE]),
        ({"AWS": [role(DELETED_ROLE), role("AIDA")]}, []),
        ({"AWS": [ROOT, ACCOUNT, "*"]}, []),
        ({"AWS": ROOT, "Service": [SERVICE]}, []),
        ("*", []),
    ],
    ids=str,
)
def test_deleted_principals_are_listed_by_unique_id(principal: Any, deleted: list[str]) -> None:
    statement = delegation(Principal=principal)
    assert policies.deleted_principals(document(delegation(), statement)) == ({"Statement[1]": deleted} if deleted else {})
    # A single statement can be without a list.
    alone = policies.deleted_principals({"Version": "2012-10-17", "Statement": statement})
    assert alone == ({"Statement[0]": deleted} if deleted else {})


def test_deleted_principals_are_listed_for_all_statements_of_others_and_none_of_ours() -> None:
    statements = (
        delegation(Effect="Deny", Principal={"AWS": DELETED_USER}),
        policies.use([DELETED_USER, "AROAOURS1234567890123"]),
        delegation(Sid="NotLatchkey", Principal={"AWS": [DELETED_ROLE]}),
        {"Effect": "Deny", "NotPrincipal": {"AWS": role("A")}, "Action": "kms:*", "Resource": "*"},
    )
    assert policies.deleted_principals(document(*statements)) == {"Statement[0]": [DELETED_USER], "NotLatchkey": [DELETED_ROLE]}


@pytest.mark.parametrize(
    "place",
    [
        {"Principal": {"AWS": [ROOT, DELETED_ROLE]}},
        {"NotPrincipal": {"AWS": [ROOT, DELETED_ROLE]}},
        {"Principal": "*", "Condition": {"ArnLike": {"aws:PrincipalArn": DELETED_ROLE}}},
        {"Principal": "*", "Condition": {"StringNotEquals": {"AWS:principalarn": [role("A"), DELETED_ROLE]}}},
    ],
    ids=["principal", "not the principal", "condition", "condition in another case"],
)
def test_deleted_principals_are_found_wherever_a_statement_names_them(place: dict[str, Any]) -> None:
    statement = {"Sid": "Old", "Effect": "Deny", "Action": "kms:*", "Resource": "*", **place}
    assert policies.deleted_principals(document(statement)) == {"Old": [DELETED_ROLE]}


def test_the_unique_id_in_a_condition_on_user_ids_is_no_deleted_principal() -> None:
    named = delegation(Condition={"StringLike": {"aws:userid": [f"{DELETED_ROLE}:*", DELETED_USER]}})
    assert policies.deleted_principals(document(named)) == {}


INEFFECTIVE: dict[str, dict[str, Any]] = {
    "no action": {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Resource": "*"},
    "an empty list of actions": delegation(Action=[]),
    "no resource": {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*"},
    "one key": delegation(Resource="arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555"),
    "one key and all": delegation(Resource=["*", "arn:aws:kms:eu-west-1:111122223333:key/1"]),
    "all but one key": {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "NotResource": "arn:aws:kms:::key/1"},
}


@pytest.mark.parametrize("statement", INEFFECTIVE.values(), ids=INEFFECTIVE)
def test_statements_that_kms_no_longer_accepts_are_named(statement: dict[str, Any]) -> None:
    assert policies.ineffective_statements(document(delegation(), statement)) == ["Statement[1]"]
    assert policies.ineffective_statements(document(statement | {"Sid": "Old"})) == ["Old"]


def test_effective_statements_are_accepted_in_every_form() -> None:
    other = {"Effect": "Deny", "Principal": "*", "NotAction": "kms:Describe*", "Resource": ["*"]}
    assert policies.ineffective_statements(document(delegation(), other)) == []
    assert policies.ineffective_statements(None) == []


def everyone(operator: str, key: str, *values: str) -> dict[str, Any]:
    return admission(Principal="*", Condition={operator: {key: [*values]}})


@pytest.mark.parametrize(
    ("statement", "broad"),
    [
        (admission(Principal="*"), True),
        (admission(Principal={"AWS": "*"}), True),
        ({"Effect": "Allow", "NotPrincipal": {"AWS": role("A")}, "Action": ACTION, "Resource": "*"}, True),
        (everyone("Bool", "aws:SecureTransport", "true"), True),
        (everyone("StringEquals", "aws:PrincipalTag/team", "video"), True),
        (everyone("StringNotEquals", "aws:PrincipalOrgID", "o-exampleorgid"), True),
        (everyone("StringEqualsIfExists", "aws:SourceVpce", "vpce-1"), True),
        (everyone("ForAllValues:StringEquals", "aws:PrincipalOrgPaths", "o-a/r-b/"), True),
        (everyone("StringLike", "aws:PrincipalArn", role("A"), "*"), True),
        (everyone("Null", "aws:PrincipalArn", "false"), True),
        (everyone("StringEquals", "aws:PrincipalOrgID", "o-exampleorgid"), False),
        (everyone("ArnLike", "aws:PrincipalArn", role("A")), False),
        (everyone("ForAnyValue:StringEquals", "aws:PrincipalOrgPaths", "o-a/r-b/"), False),
        (everyone("StringEquals", "aws:SourceAccount", ACCOUNT), False),
        (admission(Principal="*", Effect="Deny"), False),
        (admission(Principal={"AWS": ROOT}), False),
    ],
    ids=str,
)
def test_a_statement_is_broad_unless_a_condition_limits_whom_it_allows(statement: dict[str, Any], broad: bool) -> None:
    assert policies.broad_statements(document(statement)) == (["Statement[0]"] if broad else [])


READING = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
MEDIATAILOR = {"Service": "mediatailor.amazonaws.com"}


@pytest.mark.parametrize(
    ("statement", "could"),
    [
        (READING | {"Principal": MEDIATAILOR}, True),
        (READING | {"Principal": {"Service": [f"mediatailor.{REGION}.amazonaws.com"]}}, True),
        (READING | {"Principal": {"Service": "mediatailor.cn-north-1.amazonaws.com.cn"}}, True),
        (READING | {"Principal": MEDIATAILOR, "Condition": {"StringEquals": {"aws:SourceAccount": "444455556666"}}}, True),
        (READING | {"Principal": MEDIATAILOR, "Action": "SecretsManager:Get*", "Resource": SECRET_ARN}, True),
        (READING | {"Principal": MEDIATAILOR, "Resource": SECRET_ARN[: -len("-AbCdEf")]}, True),
        (READING | {"Principal": MEDIATAILOR, "Resource": SECRET_ARN[: -len("AbCdEf")]}, False),
        (READING | {"Principal": "*"}, True),
        (READING | {"Principal": {"AWS": "*"}}, True),
        (READING | {"NotPrincipal": {"AWS": role("Origin")}}, True),
        (READING | {"NotPrincipal": MEDIATAILOR}, True),
        (READING | {"Principal": {"AWS": role("Origin")}}, False),
        (READING | {"Principal": {"Service": "mediatailors.amazonaws.com"}}, False),
        (READING | {"Principal": {"Service": "mediatailor.example.org"}}, False),
        (READING | {"Principal": MEDIATAILOR, "Effect": "Deny"}, False),
        (READING | {"Principal": MEDIATAILOR, "Action": "secretsmanager:DescribeSecret"}, False),
        (READING | {"Principal": MEDIATAILOR, "Resource": EXISTING_ARN}, False),
    ],
)
def test_any_allow_statement_that_could_admit_the_service_counts(statement: dict[str, Any], could: bool) -> None:
    read = (document(statement), "mediatailor", "secretsmanager:GetSecretValue", SECRET_ARN)
    assert policies.could_admit_service(*read) is could


def test_an_allow_statement_counts_despite_a_deny_statement() -> None:
    both = document(READING | {"Principal": MEDIATAILOR}, READING | {"Principal": "*", "Effect": "Deny"})
    assert policies.could_admit_service(both, "mediatailor", "secretsmanager:GetSecretValue", SECRET_ARN) is True


def test_a_missing_policy_could_admit_nobody() -> None:
    assert policies.could_admit_service(None, "mediatailor", "secretsmanager:GetSecretValue", SECRET_ARN) is False


def test_statements_about_an_action_are_found_whatever_their_effect_and_form() -> None:
    reading = {"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:Get*", "Resource": "*", "Sid": "Reading"}
    denied = {"Effect": "Deny", "Principal": "*", "NotAction": "kms:*", "Resource": policies.without_suffix(SECRET_ARN)}
    other = {"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:PutSecretValue", "Resource": "*"}
    another = {"Effect": "Allow", "Principal": "*", "Action": ACTION, "Resource": EXISTING_ARN}

    found = policies.statements_covering(document(reading, denied, other, another), ACTION, SECRET_ARN)

    assert found == {"Reading": reading, "Statement[1]": denied}
    assert policies.statements_covering(None, ACTION, SECRET_ARN) == {}
