"""Rules for new, adopted and imported secrets."""

from __future__ import annotations

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
    key_evidence,
    paths,
    secret,
    secret_evidence,
)
from tests.unit.samples import EXISTING_ARN, KEY_ARN, REGION, SETTINGS, desired

EXISTING = {"secret.value.existing": {"secretArn": EXISTING_ARN}}
COPY = {"secret.value.copyFrom": {"secretArn": EXISTING_ARN}}
DELETED = {"Effect": "Allow", "Principal": {"AWS": "AROAEXAMPLE1234567890"}, "Action": "*", "Resource": "*"}


def found(request: Desired, **evidence: Any) -> list[str]:
    """The paths of the problems with the secret that the service reads."""
    return paths(secret_problems(request, RequestEvidence(**{"key": key_evidence()} | evidence), SETTINGS))


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


def test_a_secret_that_other_accesses_use_keeps_its_token_and_key() -> None:
    shared = secret_evidence(secret(kms_key_id=OTHER_KEY_ARN), other_accesses=frozenset({NEWS}))

    assert found(desired(COPY | {"secret.moveKey": True}), secret=shared) == ["secret.moveKey", "secret.value.copyFrom"]


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
