"""Rules for new, adopted and imported secrets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from latchkey import policies
from latchkey.access.desired import Desired
from latchkey.onboarding.rules.evidence import KeyEvidence, RequestEvidence, SourceEvidence
from latchkey.onboarding.rules.secret import EXISTING_PATH, SOURCE_PATH, secret_problems, source_problems
from latchkey.tags import ACCESS, CONSENT
from tests.unit.rules.samples import (
    ADOBE,
    ADOPT,
    NEWS,
    OTHER_KEY_ARN,
    OWN,
    SPORTS,
    key,
    key_evidence,
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
    EXISTING_ARN,
    KEY_ARN,
    REGION,
    ROLES,
    SECRET_ARN,
    SETTINGS,
    UNDO_ROLE,
    VALIDATE_ROLE,
    desired,
    role,
)

EXISTING = {"secret.value.existing": {"secretArn": EXISTING_ARN}}
COPY = {"secret.value.copyFrom": {"secretArn": EXISTING_ARN}}
OTHER_ARN, LOST = EXISTING_ARN.replace("shared", "other"), SECRET_ARN.replace("AbCdEf", "LoSt01")
DELETED = {"Effect": "Allow", "Principal": {"AWS": "AROAEXAMPLE1234567890"}, "Action": "*", "Resource": "*"}


def found(request: Desired, **evidence: Any) -> list[str]:
    """The paths of the problems with the secret that the service reads."""
    return paths(secret_problems(request, RequestEvidence(**{"key": key_evidence()} | evidence), SETTINGS, ROLES))


def adoptable(tags: dict[str, str] | None = None, **members: Any) -> Any:
    return secret(ADOPT if tags is None else tags, arn=EXISTING_ARN, name="origin/shared", **members)


def test_a_system_without_a_secret_has_no_rules_for_one() -> None:
    assert found(desired(kind=ADOBE)) == []


def test_the_name_of_a_new_secret_begins_with_the_prefix_of_the_stack() -> None:
    assert found(desired({"secret.name": "origin/token"})) == ["secret.name"]
    assert found(desired({"secret.name": "latchkey/token"})) == []


@pytest.mark.parametrize(
    "present",
    [secret(is_being_deleted=True), secret({}), secret(ADOPT), secret(OWN | {ACCESS: NEWS})],
    ids=["scheduled for deletion", "not ours", "consented", "of another access"],
)
def test_a_new_secret_does_not_take_the_name_of_another_one(present: Any) -> None:
    assert found(desired(), secret=secret_evidence(present)) == ["secret.name"]


def test_the_secret_of_this_access_is_used_again() -> None:
    assert found(desired(), secret=secret_evidence(secret())) == []
    assert found(desired(COPY), secret=secret_evidence(secret())) == []


def test_an_adopted_secret_must_be_in_this_account_and_region_and_exist() -> None:
    elsewhere = {"secret.value.existing": {"secretArn": EXISTING_ARN.replace(REGION, "us-east-1")}}

    assert found(desired(elsewhere)) == [EXISTING_PATH]
    assert found(desired(EXISTING)) == [EXISTING_PATH]


@pytest.mark.parametrize(
    ("present", "problems"),
    [
        (adoptable(), []),
        (adoptable({}), [EXISTING_PATH]),
        (adoptable({CONSENT: "import"}), [EXISTING_PATH]),
        (adoptable(is_being_deleted=True), [EXISTING_PATH]),
        (adoptable(owning_service="rds"), [EXISTING_PATH]),
        (adoptable(OWN | {ACCESS: NEWS}), [EXISTING_PATH]),
        (adoptable(OWN | {ACCESS: NEWS} | ADOPT), []),
        (adoptable(OWN | {ACCESS: SPORTS}), []),
    ],
    ids=[
        "approved",
        "not approved",
        "approved for import",
        "scheduled for deletion",
        "managed",
        "of another access",
        "of another access with consent",
        "of this access",
    ],
)
def test_an_adopted_secret_is_approved_and_free_to_change(present: Any, problems: list[str]) -> None:
    assert found(desired(EXISTING), secret=secret_evidence(present)) == problems


@pytest.mark.parametrize(("access", "problems"), [(NEWS, [EXISTING_PATH]), ("mediapackage/originEndpoint/sports-hls", [])])
def test_a_secret_stays_with_its_access_where_no_host_limits_its_use(access: str, problems: list[str]) -> None:
    name = "latchkey/mediapackage/sports-hls/token"
    arn = EXISTING_ARN.replace("origin/shared", name)
    request = desired({"secret.value.existing": {"secretArn": arn}}, "mediapackage")

    assert found(request, secret=secret_evidence(secret(OWN | {ACCESS: access}, arn=arn, name=name))) == problems


def test_a_role_reads_only_secrets_whose_names_its_boundary_allows() -> None:
    assert found(desired(EXISTING, "mediapackage"), secret=secret_evidence(adoptable())) == [EXISTING_PATH]


def test_a_resource_policy_with_deleted_principals_is_rejected_only_if_it_must_change() -> None:
    request = desired(EXISTING)
    complete = policies.new_document([*request.secret_statements(EXISTING_ARN), DELETED])

    broken = secret_evidence(adoptable(), policy=policies.new_document([DELETED]))
    assert found(request, secret=broken) == [EXISTING_PATH]
    assert found(request, secret=secret_evidence(adoptable(), policy=complete)) == []


@pytest.mark.parametrize(
    ("kms_key_id", "key", "problems"),
    [
        (None, key_evidence(), []),
        (KEY_ARN, key_evidence(), []),
        (OTHER_KEY_ARN, key_evidence(), [EXISTING_PATH]),
        (KEY_ARN, KeyEvidence(), [EXISTING_PATH]),
        (KEY_ARN, KeyEvidence(key=key_evidence().key, hidden=True), [EXISTING_PATH]),
    ],
    ids=["default key", "this key", "another key", "new key", "hidden key"],
)
def test_a_secret_leaves_a_customer_managed_key_only_on_request(
    kms_key_id: str | None, key: KeyEvidence, problems: list[str]
) -> None:
    evidence = secret_evidence(adoptable(kms_key_id=kms_key_id))

    assert found(desired(EXISTING), secret=evidence, key=key) == problems
    assert found(desired(EXISTING | {"secret.moveKey": True}), secret=evidence, key=key) == []
    moving = desired(EXISTING | {"key.alias": "alias/latchkey/other", "key.move": True})
    assert found(moving, secret=evidence, key=key) == []


def test_a_secret_that_other_accesses_use_keeps_its_token_and_key() -> None:
    shared = secret_evidence(secret(kms_key_id=OTHER_KEY_ARN), other_accesses=frozenset({NEWS}))

    assert found(desired(COPY | {"secret.moveKey": True}), secret=shared) == ["secret.moveKey", "secret.value.copyFrom"]


KEEPS = {"secret.keepsValue": True}
RECORD, COPIER = record(), desired(COPY).request
KEPT: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "the copy of the record": (COPY, {"record": RECORD, "recorded_request": COPIER}, []),
    "the copy of a hand-off": (COPY, {"pending": RECORD, "pending_request": COPIER}, []),
    "another source": (
        {"secret.value.copyFrom": {"secretArn": OTHER_ARN}},
        {"record": RECORD, "recorded_request": COPIER},
        ["secret.keepsValue"],
    ),
    "another member": (
        {"secret.value.copyFrom": {"secretArn": EXISTING_ARN, "key": "token"}},
        {"record": RECORD, "recorded_request": COPIER},
        ["secret.keepsValue"],
    ),
    "a generated value": (COPY, {"record": RECORD, "recorded_request": desired().request}, ["secret.keepsValue"]),
    "the copy in another secret": (
        COPY,
        {"record": record(secret_arn=LOST), "recorded_request": COPIER},
        ["secret.keepsValue"],
    ),
    "what a failed request left": (COPY, {}, ["secret.keepsValue"]),
    "a lost copy": (COPY, {"record": record(secret_arn=LOST), "recorded_request": COPIER, "secret": None}, []),
    "a generated value again": ({}, {"record": RECORD, "recorded_request": desired().request}, []),
    "the secret of another name": (
        {"secret.name": "latchkey/another"},
        {"record": RECORD, "recorded_request": COPIER, "secret": None},
        ["secret.keepsValue"],
    ),
    "a secret that was never in service": (
        {"secret.name": "latchkey/another"},
        {"record": replace(RECORD, reached="handed-off"), "recorded_request": COPIER, "secret": None},
        [],
    ),
}


@pytest.mark.parametrize(("changes", "evidence", "problems"), KEPT.values(), ids=KEPT)
def test_a_value_is_kept_only_in_the_secret_of_the_access_and_with_its_source(
    changes: dict[str, Any], evidence: dict[str, Any], problems: list[str]
) -> None:
    request = desired(KEEPS | changes)

    assert found(request, **{"secret": secret_evidence(), "key": key_evidence()} | evidence) == problems


def test_a_shared_secret_can_keep_its_value() -> None:
    shared = secret_evidence(other_accesses=frozenset({NEWS}))

    known = {"record": RECORD, "recorded_request": COPIER}
    assert found(desired(COPY | KEEPS), secret=shared, **known) == []
    assert found(desired(COPY), secret=shared, **known) == ["secret.value.copyFrom"]


@pytest.mark.parametrize(("changes", "problems"), [({}, [SOURCE_PATH]), (KEEPS, [])], ids=["copies", "keeps"])
def test_a_source_from_which_nothing_is_read_needs_no_consent(changes: dict[str, Any], problems: list[str]) -> None:
    evidence = RequestEvidence(source=SourceEvidence(True, adoptable({})), secret=secret_evidence())

    assert paths(source_problems(desired(COPY | changes), evidence)) == problems
    assert paths(source_problems(desired(COPY | changes), replace(evidence, secret=None))) == [SOURCE_PATH]


@pytest.mark.parametrize(
    ("source", "problems"),
    [
        (None, [SOURCE_PATH]),
        (SourceEvidence(region_exists=False), [SOURCE_PATH]),
        (SourceEvidence(region_exists=True), [SOURCE_PATH]),
        (SourceEvidence(True, adoptable()), [SOURCE_PATH]),
        (SourceEvidence(True, adoptable(OWN)), [SOURCE_PATH]),
        (SourceEvidence(True, adoptable({CONSENT: "import"})), []),
    ],
    ids=["another account", "unknown Region", "missing", "approved for adoption", "ours", "approved for import"],
)
def test_a_value_is_imported_only_with_consent(source: SourceEvidence | None, problems: list[str]) -> None:
    assert paths(source_problems(desired(COPY), RequestEvidence(source=source))) == problems
    assert paths(source_problems(desired(), RequestEvidence(source=source))) == []


GET = "secretsmanager:GetSecretValue"
EVERYBODY = {
    "Sid": "Everybody",
    "Effect": "Allow",
    "Principal": "*",
    "Action": GET,
    "Resource": "*",
}
SECURE = EVERYBODY | {"Condition": {"Bool": {"aws:SecureTransport": "true"}}}
READER = "mediatailor.amazonaws.com"


def with_policy(*statements: dict[str, Any], present: Any = None, **members: Any) -> Any:
    """Evidence of a secret with this resource policy."""
    document = policies.new_document(statements)
    return secret_evidence(present or adoptable(), policy=document, every_policy=document, **members)


def test_a_public_policy_is_rejected_by_the_name_of_the_statement() -> None:
    [(path, rule)] = rules(secret_problems(desired(EXISTING), RequestEvidence(secret=with_policy(EVERYBODY)), SETTINGS, ROLES))

    assert (path, "Everybody" in rule) == (EXISTING_PATH, True)
    assert found(desired(EXISTING), secret=with_policy(SECURE)) == [EXISTING_PATH]


def test_a_public_policy_is_rejected_without_a_change_only_if_a_check_fails() -> None:
    own = desired(EXISTING).secret_statements(EXISTING_ARN)

    assert found(desired(EXISTING), secret=with_policy(*own, EVERYBODY)) == [EXISTING_PATH]
    assert found(desired(EXISTING), secret=with_policy(*own, SECURE)) == []


def test_the_policy_of_a_secret_of_this_access_is_judged_as_well() -> None:
    assert found(desired(), secret=with_policy(EVERYBODY, present=secret())) == ["secret.name"]
    assert found(desired(), secret=with_policy(DELETED, present=secret())) == ["secret.name"]
    assert found(desired(), secret=with_policy(present=secret())) == []


def test_a_policy_that_would_be_too_long_is_rejected_with_the_numbers() -> None:
    long = EVERYBODY | {"Principal": {"AWS": role("x" * 64)}}
    evidence = RequestEvidence(secret=with_policy(*[long] * 200))

    [(path, rule)] = rules(secret_problems(desired(EXISTING), evidence, SETTINGS, ROLES))

    assert path == EXISTING_PATH
    assert f"{policies.SECRET_POLICY_LIMIT}" in rule


def test_a_new_secret_whose_policy_would_be_too_long_is_rejected() -> None:
    many = {"managementRoles": [role(f"{'p' * 430}/{number}") for number in range(50)]}

    [(path, rule)] = rules(secret_problems(desired(many), RequestEvidence(), SETTINGS, ROLES))

    assert (path, f"{policies.SECRET_POLICY_LIMIT}" in rule) == ("secret", True)


def only(*names: str, action: str = "*", operator: str = "StringNotEquals", key: str = "aws:PrincipalArn") -> dict[str, Any]:
    """A statement that denies everybody but some principals."""
    statement = {"Sid": "Only", "Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*"}
    return statement | {"Condition": {operator: {key: [*names]}}}


FUNCTIONS = (ATTACH_ROLE, CONFIGURE_ROLE, CREATE_SECRET_ROLE, UNDO_ROLE, VALIDATE_ROLE)


@pytest.mark.parametrize(
    ("statement", "denied"),
    [
        (only(role("Owner"), action=GET), {CONFIGURE_ROLE, CREATE_SECRET_ROLE, READER}),
        (only(role("Owner"), action="secretsmanager:PutResourcePolicy"), {ATTACH_ROLE, UNDO_ROLE}),
        (only(role("Owner"), action="secretsmanager:DeleteResourcePolicy"), set()),
        (only(role("Owner"), action="secretsmanager:UpdateSecret"), {ATTACH_ROLE}),
        (only(role("Owner")), {*FUNCTIONS, READER}),
        (only(*FUNCTIONS), {READER}),
        (only(*FUNCTIONS, operator="StringNotEqualsIfExists"), {READER}),
        (only("o-exampleorgid", key="aws:PrincipalOrgID"), {READER}),
        (only(READER, key="aws:PrincipalServiceName"), {*FUNCTIONS} - {CONFIGURE_ROLE}),
        (only("lambda.amazonaws.com", key="aws:PrincipalServiceName"), {*FUNCTIONS, READER} - {CONFIGURE_ROLE}),
        (only("mediatailor.*amazonaws.com", operator="StringLike", key="aws:PrincipalServiceName"), {READER}),
        (only("true", operator="Bool", key="aws:PrincipalIsAWSService"), {READER}),
        (only(ACCOUNT, operator="StringEquals", key="aws:PrincipalAccount"), {*FUNCTIONS}),
        (only("vpce-1", key="aws:SourceVpce"), {*FUNCTIONS, READER} - {CONFIGURE_ROLE}),
        (only("10.0.0.0/8", operator="NotIpAddress", key="aws:SourceIp"), set()),
        (only(READER, key="aws:PrincipalServiceName") | {"Condition": {}}, {*FUNCTIONS, READER}),
    ],
)
def test_a_deny_of_what_the_access_needs_is_rejected(statement: dict[str, Any], denied: set[str]) -> None:
    problems = rules(
        secret_problems(desired(EXISTING), RequestEvidence(key=key_evidence(), secret=with_policy(statement)), SETTINGS, ROLES)
    )

    assert [path for path, _ in problems] == ([EXISTING_PATH] if denied else [])
    assert {name for name in (*FUNCTIONS, READER) if any(name in rule for _, rule in problems)} == denied


def test_the_owner_of_a_handed_off_resource_configures_it_without_our_functions() -> None:
    spared = only(ATTACH_ROLE, CREATE_SECRET_ROLE, UNDO_ROLE, VALIDATE_ROLE, operator="ArnNotEqualsIfExists")
    spared["Condition"]["Bool"] = {"aws:PrincipalIsAWSService": "false"}
    via_service = only(CONFIGURE_ROLE, operator="ArnEquals")

    assert found(desired(EXISTING), secret=with_policy(spared)) == []
    assert found(desired(EXISTING), secret=with_policy(via_service)) == [EXISTING_PATH]
    assert found(desired(EXISTING | {"resource.configure": False}), secret=with_policy(via_service)) == []


def test_a_deny_for_roles_of_the_request_is_rejected() -> None:
    request = desired(EXISTING | {"managementRoles": [role("Manager")], "secret.originReaders": [role("Origin")]})

    for name in ("Manager", "Origin"):
        denial = only(role(name), operator="ArnEquals", action=GET)
        [(path, rule)] = rules(secret_problems(request, RequestEvidence(secret=with_policy(denial)), SETTINGS, ROLES))
        assert (path, role(name) in rule) == (EXISTING_PATH, True)


def test_a_reader_role_is_denied_by_every_statement_with_not_principal() -> None:
    """Reader roles have a permissions boundary."""
    name = "latchkey/mediapackage/sports-hls/token"
    arn = EXISTING_ARN.replace("origin/shared", name)
    request = desired({"secret.value.existing": {"secretArn": arn}}, "mediapackage")
    wanted = request.role("", "")
    assert wanted
    spared = [*FUNCTIONS, wanted.arn(SETTINGS.place)]
    statement = {"Effect": "Deny", "NotPrincipal": {"AWS": spared}, "Action": GET, "Resource": "*"}

    evidence = RequestEvidence(key=key_evidence(), secret=with_policy(statement, present=secret(ADOPT, arn=arn, name=name)))
    [(path, rule)] = rules(secret_problems(request, evidence, SETTINGS, ROLES))

    assert (path, wanted.name in rule) == (EXISTING_PATH, True)


def test_only_statements_of_the_policy_that_can_be_written_are_merged_but_all_of_them_deny() -> None:
    other = policies.new_document([only(role("Owner"))])

    assert found(desired(EXISTING), secret=secret_evidence(adoptable(), every_policy=other)) == [EXISTING_PATH]


@pytest.mark.parametrize(("request_secret", "path"), [(EXISTING, EXISTING_PATH), ({}, "secret.name")], ids=["adopted", "own"])
def test_a_replica_is_rejected_with_its_primary_region(request_secret: dict[str, Any], path: str) -> None:
    def present(region: str) -> Any:
        return adoptable(primary_region=region) if request_secret else secret(primary_region=region)

    replica = RequestEvidence(key=key_evidence(), secret=secret_evidence(present("us-east-1")))
    [(found_path, rule)] = rules(secret_problems(desired(request_secret), replica, SETTINGS, ROLES))
    assert (found_path, "us-east-1" in rule) == (path, True)
    assert found(desired(request_secret), secret=secret_evidence(present(REGION))) == []


@pytest.mark.parametrize("stages", [{}, {"version": ["AWSPENDING"]}], ids=["no version", "no current version"])
@pytest.mark.parametrize("kind", ["mediatailor", "mediaconnect-output"], ids=["JSON", "text"])
def test_a_secret_without_a_value_is_rejected(stages: dict[str, list[str]], kind: str) -> None:
    name = "latchkey/theirs"
    arn = EXISTING_ARN.replace("origin/shared", name)
    request = desired({"secret.value.existing": {"secretArn": arn}}, kind)
    empty = secret(ADOPT, arn=arn, name=name, stages=stages)

    assert found(request, secret=secret_evidence(empty)) == [EXISTING_PATH]
    copied = desired(COPY)
    source = SourceEvidence(True, adoptable({CONSENT: "import"}, stages=stages))
    assert paths(source_problems(copied, RequestEvidence(source=source))) == [SOURCE_PATH]


def test_an_incomplete_arn_is_rejected_with_the_complete_one() -> None:
    """The name of a secret can end like the random suffix of an ARN."""
    whole = f"{EXISTING_ARN}-AbCdEf"

    [(path, rule)] = rules(
        secret_problems(desired(EXISTING), RequestEvidence(secret=secret_evidence(secret(ADOPT, arn=whole))), SETTINGS, ROLES)
    )
    assert (path, whole in rule) == (EXISTING_PATH, True)
    source = SourceEvidence(True, secret({CONSENT: "import"}, arn=whole))
    assert paths(source_problems(desired(COPY), RequestEvidence(source=source))) == [SOURCE_PATH]


@pytest.mark.parametrize(("request_secret", "path"), [(EXISTING, EXISTING_PATH), ({}, "secret.name")], ids=["adopted", "own"])
def test_a_secret_that_aws_denies_reading_is_rejected(request_secret: dict[str, Any], path: str) -> None:
    assert found(desired(request_secret), hidden_secret=True) == [path]
    hidden = SourceEvidence(region_exists=True, hidden=True)
    assert paths(source_problems(desired(COPY), RequestEvidence(source=hidden))) == [SOURCE_PATH]


AWS_MANAGED = key({}, arn=OTHER_KEY_ARN, customer_managed=False)


def test_an_aws_managed_key_that_is_named_by_its_arn_is_the_default_key() -> None:
    under = secret_evidence(adoptable(kms_key_id=OTHER_KEY_ARN), key=AWS_MANAGED)

    assert found(desired(EXISTING), secret=under) == []


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
def test_a_secret_under_a_key_that_cannot_be_used_is_rejected(state: str) -> None:
    under = secret_evidence(adoptable(kms_key_id=OTHER_KEY_ARN), key=key(arn=OTHER_KEY_ARN, state=state))

    assert found(desired(EXISTING | {"secret.moveKey": True}), secret=under) == [EXISTING_PATH]
