"""Rules for the KMS key."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey import policies
from latchkey.access.desired import Desired
from latchkey.onboarding.rules.evidence import KeyEvidence, RequestEvidence
from latchkey.onboarding.rules.key import NOT_FOR_SHARED_KEYS, key_problems, needs_grant_count
from tests.unit.rules.samples import (
    ADOBE,
    ADOPT,
    NEWS,
    OTHER_KEY_ARN,
    key,
    key_evidence,
    key_policy,
    paths,
    record,
    rules,
    secret,
    secret_evidence,
)
from tests.unit.samples import (
    ACCOUNT,
    ATTACH_ROLE,
    CONFIGURE_ROLE,
    CREATE_SECRET_ROLE,
    KEY_ARN,
    PLACE,
    REGION,
    ROLES,
    SETTINGS,
    UNDO_ROLE,
    VALIDATE_ROLE,
    desired,
    role,
)

BY_ARN = {"key.arn": KEY_ARN}
SECRETS_MANAGER = f"secretsmanager.{REGION}.amazonaws.com"
_READER = desired(kind="mediapackage").role("", "")
READER_ROLE = _READER.arn(PLACE) if _READER else ""
INSTANCE = f"{ADOBE}/instance/{REGION}"
OF_DELETED = {"Condition": {"ArnLike": {"aws:PrincipalArn": "AROAEXAMPLE1234567890"}}}
DELETED = {"Effect": "Allow", "Principal": {"AWS": "AROAEXAMPLE1234567890"}, "Action": "kms:Encrypt", "Resource": "*"}


def found(request: Desired, evidence: KeyEvidence, **others: Any) -> list[str]:
    """The paths of the problems with a key."""
    return paths(key_problems(request, RequestEvidence(key=evidence, **others), SETTINGS, ROLES))


def test_a_new_alias_means_a_new_key() -> None:
    assert found(desired(), KeyEvidence()) == []


def test_an_arn_must_name_a_key_that_exists_in_this_account_and_region() -> None:
    assert found(desired(BY_ARN), KeyEvidence()) == ["key.arn"]
    assert found(desired({"key.arn": KEY_ARN.replace(REGION, "us-east-1")}), KeyEvidence()) == ["key.arn"]


@pytest.mark.parametrize("tags", [None, ADOPT], ids=["ours", "adopted"])
def test_a_key_that_latchkey_created_or_is_allowed_to_adopt_passes(tags: dict[str, str] | None) -> None:
    assert found(desired(BY_ARN), key_evidence(key(tags))) == []


@pytest.mark.parametrize(
    "flaw",
    [
        {"customer_managed": False},
        {"spec": "RSA_2048"},
        {"usage": "SIGN_VERIFY"},
        {"multi_region": True},
        {"state": "Disabled"},
        {"state": "PendingDeletion"},
        {"tags": {}},
    ],
    ids=str,
)
@pytest.mark.parametrize(("request_key", "path"), [({}, "key.alias"), (BY_ARN, "key.arn")])
def test_a_key_that_cannot_be_used_is_rejected_under_the_member_that_names_it(
    request_key: dict[str, str], path: str, flaw: dict[str, Any]
) -> None:
    assert found(desired(request_key), key_evidence(key(**flaw))) == [path]


def test_a_missing_consent_names_the_tag_and_the_key() -> None:
    [(_, rule)] = rules(key_problems(desired(), RequestEvidence(key=key_evidence(key({}))), SETTINGS, ROLES))

    assert f"latchkey:consent=adopt to {KEY_ARN}" in rule


def test_every_problem_of_a_key_is_reported() -> None:
    unusable = key({}, multi_region=True, state="Disabled")

    assert found(desired(BY_ARN), key_evidence(unusable)) == ["key.arn"] * 3


@pytest.mark.parametrize(
    "evidence", [KeyEvidence(hidden=True), KeyEvidence(key=key(), recorded=True, hidden=True)], ids=["key", "policy"]
)
def test_a_key_that_denies_a_read_does_not_delegate_to_iam(evidence: KeyEvidence) -> None:
    [(path, rule)] = rules(key_problems(desired(BY_ARN), RequestEvidence(key=evidence), SETTINGS, ROLES))

    assert (path, "does not delegate to IAM" in rule) == ("key.arn", True)


def test_a_policy_that_does_not_delegate_to_iam_is_rejected() -> None:
    assert found(desired(), key_evidence(policy=policies.new_document([]))) == ["key.alias"]


def test_a_policy_with_deleted_principals_is_rejected_only_if_it_must_change() -> None:
    complete = key_policy(*desired().key_statements, DELETED)

    assert found(desired(), key_evidence(policy=key_policy(DELETED))) == ["key.alias"]
    assert found(desired(), key_evidence(policy=complete)) == []
    in_condition = key_policy({**DELETED, "Principal": "*", **OF_DELETED})
    assert found(desired(), key_evidence(policy=in_condition)) == ["key.alias"]
    # A secret under the default key needs one more statement, for the present readers.
    assert found(desired(), key_evidence(policy=complete), secret=secret_evidence(secret())) == ["key.alias"]


@pytest.mark.parametrize(("tags", "others"), [(ADOPT, frozenset[str]()), (None, frozenset({NEWS}))], ids=["adopted", "shared"])
def test_power_over_a_shared_or_adopted_key_is_rejected(tags: dict[str, str] | None, others: frozenset[str]) -> None:
    request = desired({"key.administrators": [role("Admins")], "key.allowDeletion": True})
    evidence = RequestEvidence(key=key_evidence(key(tags), other_accesses=others))

    assert rules(key_problems(request, evidence, SETTINGS, ROLES)) == [
        ("key.administrators", NOT_FOR_SHARED_KEYS),
        ("key.allowDeletion", NOT_FOR_SHARED_KEYS),
    ]


def test_power_over_a_key_of_this_access_only_or_power_that_it_already_gives_passes() -> None:
    request = desired({"key.administrators": [role("Admins")]})

    assert found(request, key_evidence()) == []
    granted = key_policy(*request.key_statements)
    assert found(request, key_evidence(policy=granted, other_accesses=frozenset({NEWS}))) == []


@pytest.mark.parametrize(
    ("kind", "alias"), [(ADOBE, "alias/other"), ("mediatailor", f"alias/latchkey/{ADOBE}/{REGION}")], ids=["other", "reserved"]
)
def test_aliases_of_partner_keys_are_kept_apart_and_nothing_else_is_reported(kind: str, alias: str) -> None:
    assert found(desired({"key.alias": alias}, kind), KeyEvidence(key=key({}, state="Disabled"))) == ["key.alias"]


def test_the_key_of_a_partner_serves_no_other_access() -> None:
    assert found(desired(BY_ARN), key_evidence(other_accesses=frozenset({INSTANCE}))) == ["key.arn"]


@pytest.mark.parametrize(
    "evidence",
    [
        key_evidence(key(ADOPT)),
        key_evidence(other_accesses=frozenset({NEWS})),
        key_evidence(grant_count=1),
    ],
    ids=["adopted", "shared", "with grants"],
)
def test_a_key_that_served_others_is_not_given_to_a_partner(evidence: KeyEvidence) -> None:
    assert found(desired(BY_ARN, ADOBE), evidence) == ["key.arn"]


def test_an_unused_key_of_latchkey_can_be_given_to_a_partner() -> None:
    assert found(desired(BY_ARN, ADOBE), key_evidence(grant_count=0)) == []


@pytest.mark.parametrize("existing", [True, False])
def test_a_partner_keeps_its_key(existing: bool) -> None:
    own = record(OTHER_KEY_ARN, None, INSTANCE)
    evidence = key_evidence() if existing else KeyEvidence()

    assert found(desired(kind=ADOBE), evidence, record=own) == ["key.alias"]
    assert found(desired(BY_ARN, ADOBE), key_evidence(), record=record(KEY_ARN, None, INSTANCE)) == []


def test_a_partner_key_that_cannot_be_created_is_rejected() -> None:
    assert found(desired(kind=ADOBE), KeyEvidence(refused_creation=("kms:CreateKey",))) == ["key"]
    assert found(desired(kind=ADOBE), KeyEvidence()) == []


def test_grants_are_counted_only_on_a_key_that_would_be_given_to_a_partner() -> None:
    assert needs_grant_count(desired(kind=ADOBE), key(), frozenset(), None)
    assert not needs_grant_count(desired(kind=ADOBE), key(ADOPT), frozenset(), None)
    assert not needs_grant_count(desired(kind=ADOBE), key(), frozenset({NEWS}), None)
    assert not needs_grant_count(desired(kind=ADOBE), key(), frozenset(), record())
    assert not needs_grant_count(desired(), key(), frozenset(), None)


LONG = {"Sid": "Long", "Effect": "Allow", "Principal": {"AWS": role("x" * 64)}, "Action": "kms:Encrypt", "Resource": "*"}


def test_a_policy_that_would_be_too_long_is_rejected_with_the_numbers() -> None:
    evidence = key_evidence(policy=key_policy(*[LONG] * 200))

    [(path, rule)] = rules(key_problems(desired(BY_ARN), RequestEvidence(key=evidence), SETTINGS, ROLES))

    length = len(policies.text_of(policies.merge(evidence.policy, desired(BY_ARN).key_statements)))
    assert path == "key.arn"
    assert f"{length} " in rule
    assert f"{policies.KEY_POLICY_LIMIT}" in rule


def test_a_long_policy_that_needs_no_change_passes() -> None:
    policy = policies.merge(key_policy(*[LONG] * 200), desired(BY_ARN).key_statements)

    assert found(desired(BY_ARN), key_evidence(policy=policy)) == []


def test_a_new_key_whose_policy_would_be_too_long_is_rejected() -> None:
    many = {"managementRoles": [role(f"{'p' * 400}/{number}") for number in range(50)]}

    assert found(desired(many), KeyEvidence()) == ["key.alias"]


def test_a_reserved_statement_that_denies_is_rejected() -> None:
    denied = desired(BY_ARN).key_statements[0] | {"Effect": "Deny"}

    problems = rules(
        key_problems(desired(BY_ARN), RequestEvidence(key=key_evidence(policy=key_policy(denied))), SETTINGS, ROLES)
    )

    assert {path for path, _ in problems} == {"key.arn"}
    assert any("reserved Sid" in rule for _, rule in problems)


ROTATION = {"key.rotationDays": 180}
ROTATIONS: dict[str, tuple[dict[str, Any], KeyEvidence, list[str]]] = {
    "a period that an own key has": (ROTATION, key_evidence(rotation_days=180), []),
    "another period of an own key": (ROTATION, key_evidence(rotation_days=365), []),
    "another period of a shared key": (
        ROTATION,
        key_evidence(rotation_days=365, other_accesses=frozenset([NEWS])),
        ["key.rotationDays"],
    ),
    "a period that a shared key has": (ROTATION, key_evidence(rotation_days=180, other_accesses=frozenset([NEWS])), []),
    "a shared key that is being created": (ROTATION, key_evidence(other_accesses=frozenset([NEWS])), []),
    "no period for a shared key": ({}, key_evidence(rotation_days=180, other_accesses=frozenset([NEWS])), []),
    "another period of an adopted key": (ROTATION, key_evidence(key(ADOPT), rotation_days=365), ["key.rotationDays"]),
    "an adopted key that does not rotate": (ROTATION, key_evidence(key(ADOPT)), ["key.rotationDays"]),
    "the usual period for an adopted key": (
        BY_ARN | {"key.rotationDays": 365},
        key_evidence(key(ADOPT), rotation_days=180),
        ["key.rotationDays"],
    ),
}


@pytest.mark.parametrize(("changes", "evidence", "problems"), ROTATIONS.values(), ids=ROTATIONS)
def test_a_rotation_period_is_applied_or_rejected(changes: dict[str, Any], evidence: KeyEvidence, problems: list[str]) -> None:
    assert found(desired(changes), evidence) == problems


def test_a_rejected_rotation_period_names_the_present_one() -> None:
    evidence = RequestEvidence(key=key_evidence(rotation_days=365, other_accesses=frozenset([NEWS])))

    [(_, rule)] = rules(key_problems(desired(ROTATION), evidence, SETTINGS, ROLES))

    assert f"{KEY_ARN} rotates every 365 days" in rule
    assert NEWS in rule


INEFFECTIVE = {"Sid": "Reporting", "Effect": "Allow", "Principal": "*", "Action": "kms:DescribeKey", "Resource": OTHER_KEY_ARN}


def test_a_policy_with_statements_that_kms_no_longer_accepts_is_rejected_by_their_names() -> None:
    [(path, rule)] = rules(
        key_problems(desired(BY_ARN), RequestEvidence(key=key_evidence(policy=key_policy(INEFFECTIVE))), SETTINGS, ROLES)
    )

    assert (path, "Reporting" in rule) == ("key.arn", True)
    complete = key_policy(*desired(BY_ARN).key_statements, INEFFECTIVE)
    assert found(desired(BY_ARN), key_evidence(policy=complete)) == []


@pytest.mark.parametrize(("resource", "problems"), [("*", ["key.arn"]), (KEY_ARN, []), ("arn:aws:kms:*", [])])
def test_a_denial_of_a_key_policy_counts_only_if_it_has_an_effect(resource: str, problems: list[str]) -> None:
    denying = {"Sid": "No", "Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": resource}
    complete = key_policy(*desired(BY_ARN).key_statements, denying)

    assert found(desired(BY_ARN), key_evidence(policy=complete)) == problems


@pytest.mark.parametrize(
    ("state", "action"),
    [
        ("Disabled", "enable"),
        ("PendingDeletion", "cancel"),
        ("PendingImport", "import"),
        ("Unavailable", "connect"),
        ("Updating", "wait"),
    ],
)
def test_a_key_that_is_not_enabled_is_rejected_with_what_enables_it(state: str, action: str) -> None:
    [(_, rule)] = rules(key_problems(desired(), RequestEvidence(key=key_evidence(key(state=state))), SETTINGS, ROLES))

    assert state in rule
    assert action in rule


@pytest.mark.parametrize("origin", ["EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"])
def test_a_key_with_imported_material_or_in_a_key_store_can_be_adopted(origin: str) -> None:
    assert found(desired(BY_ARN), key_evidence(key(ADOPT, origin=origin))) == []


def denying(action: str, **condition: Any) -> dict[str, Any]:
    statement = {"Sid": "Admins", "Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*"}
    return statement | ({"Condition": condition} if condition else {})


ADMINS_ONLY = {"ArnNotEquals": {"aws:PrincipalArn": role("KeyAdmins")}}


@pytest.mark.parametrize(
    ("denial", "kind", "denied"),
    [
        (denying("kms:PutKeyPolicy", **ADMINS_ONLY), "mediatailor", {ATTACH_ROLE, UNDO_ROLE}),
        (denying("kms:Get*", **ADMINS_ONLY), "mediatailor", {ATTACH_ROLE, UNDO_ROLE, VALIDATE_ROLE}),
        (denying("kms:CreateGrant", **ADMINS_ONLY), "mediatailor", {CONFIGURE_ROLE}),
        (denying("kms:Decrypt", **ADMINS_ONLY), "mediatailor", {"mediatailor.amazonaws.com", CREATE_SECRET_ROLE}),
        (denying("kms:GenerateDataKey*", **ADMINS_ONLY), "mediatailor", {CREATE_SECRET_ROLE}),
        (denying("kms:Decrypt", **ADMINS_ONLY), "mediapackage", {READER_ROLE, CREATE_SECRET_ROLE}),
        (denying("kms:PutKeyPolicy", Bool={"aws:ViaAWSService": "true"}), "mediatailor", set()),
        (denying("kms:*", StringNotEquals={"aws:PrincipalAccount": ACCOUNT}), "mediatailor", {"mediatailor.amazonaws.com"}),
        (denying("kms:Decrypt", StringNotEquals={"kms:ViaService": SECRETS_MANAGER}), "mediatailor", set()),
        (denying("kms:CreateGrant", Bool={"kms:GrantIsForAWSResource": "false"}), "mediatailor", set()),
        (denying("kms:ScheduleKeyDeletion"), "mediatailor", set()),
        (denying("kms:Decrypt", **ADMINS_ONLY), ADOBE, set()),
    ],
    ids=[
        "changing the policy",
        "reading",
        "grants",
        "decrypting by a service",
        "encrypting",
        "decrypting by a role",
        "another call",
        "other accounts",
        "other services",
        "other grants",
        "another action",
        "no secret",
    ],
)
def test_a_deny_of_what_the_access_needs_is_rejected(denial: dict[str, Any], kind: str, denied: set[str]) -> None:
    evidence = RequestEvidence(key=key_evidence(policy=key_policy(denial), grant_count=0))
    problems = rules(key_problems(desired(BY_ARN, kind), evidence, SETTINGS, ROLES))

    assert [path for path, _ in problems] == (["key.arn"] if denied else [])
    every = {
        ATTACH_ROLE,
        UNDO_ROLE,
        VALIDATE_ROLE,
        CONFIGURE_ROLE,
        CREATE_SECRET_ROLE,
        READER_ROLE,
        "mediatailor.amazonaws.com",
    }
    assert {name for name in every if any(name in rule for _, rule in problems)} == denied


def test_a_deny_of_a_change_that_is_not_needed_passes() -> None:
    complete = key_policy(*desired(BY_ARN).key_statements, denying("kms:PutKeyPolicy"))

    assert found(desired(BY_ARN), key_evidence(policy=complete)) == []


def test_a_deny_of_moving_a_secret_to_the_key_is_rejected() -> None:
    evidence = key_evidence(policy=key_policy(denying("kms:Encrypt", **ADMINS_ONLY)))

    assert found(desired(BY_ARN), evidence) == []
    assert found(desired(BY_ARN), evidence, secret=secret_evidence(secret())) == ["key.arn"]
    assert found(desired(BY_ARN), evidence, secret=secret_evidence(secret(kms_key_id=KEY_ARN))) == []


def test_a_deny_for_roles_of_the_request_is_rejected() -> None:
    request = desired(BY_ARN | {"managementRoles": [role("Manager")], "secret.originReaders": [role("Origin")]})

    for name, action in (("Manager", "kms:CreateGrant"), ("Origin", "kms:Decrypt")):
        denial = {"Effect": "Deny", "Principal": {"AWS": role(name)}, "Action": action, "Resource": "*"}
        assert found(request, key_evidence(policy=key_policy(denial))) == ["key.arn"]
