"""The statements that each kind of reader adds to the policies of key and secret."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey import policies
from tests.unit.samples import KEY_ARN, KINDS, PARTNERS, READ_BY_ROLE, SECRET_ARN, desired, role

ORIGIN = {"secret.originReaders": [role("Origin")]}
PARTNER = "adobe-experience-platform"


def sids(statements: tuple[dict[str, Any], ...]) -> list[str]:
    return [statement["Sid"] for statement in statements]


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_a_role_needs_no_statements_in_the_policies(kind: str) -> None:
    wanted = desired(kind=kind)
    assert wanted.key_statements == ()
    assert wanted.secret_statements(SECRET_ARN) == ()


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_origin_readers_are_allowed_by_both_policies(kind: str) -> None:
    wanted = desired(ORIGIN, kind)
    [decryption], [reading] = wanted.key_statements, wanted.secret_statements(SECRET_ARN)
    assert (decryption["Sid"], reading["Sid"]) == ("LatchkeySecretDecryption", "LatchkeyOriginReaders")
    assert decryption["Principal"] == reading["Principal"] == {"AWS": [role("Origin")]}
    context = decryption["Condition"]["StringLike"]["kms:EncryptionContext:SecretARN"]
    assert context == [policies.KEY_VALIDATION, wanted.secrets_pattern]


def test_partner_statements_have_our_sids_and_the_requested_actions() -> None:
    wanted = desired(kind=PARTNER)
    assert sids(wanted.key_statements) == [f"LatchkeyPartner{account}" for account in PARTNERS]
    for account, statement in zip(PARTNERS, wanted.key_statements, strict=True):
        assert statement["Principal"] == {"AWS": [f"arn:aws:iam::{account}:root"]}
        assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": account}}
        assert "kms:CreateGrant" in statement["Action"]


def test_a_partner_reads_no_secret_and_needs_no_role() -> None:
    wanted = desired(kind=PARTNER)
    assert (wanted.reads_secret, wanted.needs_secret, wanted.secret_shape) == (False, False, None)
    assert wanted.role(KEY_ARN, "") is None
    assert wanted.secret_statements("") == ()


def test_a_service_principal_needs_no_role() -> None:
    assert desired().role(KEY_ARN, SECRET_ARN) is None
    assert desired().reading(KEY_ARN, SECRET_ARN).role_arn is None


@pytest.mark.parametrize("kind", KINDS)
def test_administrators_and_users_are_added_to_the_statements_of_the_reader(kind: str) -> None:
    powerful = desired({"key.administrators": [role("Admin")], "key.users": [role("User")]}, kind)
    assert sids(powerful.key_statements) == [
        *sids(desired(kind=kind).key_statements),
        "LatchkeyAdministrators",
        "LatchkeyUsers",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_only_some_resources_have_partners(kind: str) -> None:
    assert bool(desired(kind=kind).resource.partners) == (kind == PARTNER)


def test_a_partner_key_has_its_own_alias_and_other_keys_share_one() -> None:
    assert desired(kind=PARTNER).alias == "alias/latchkey/adobe-experience-platform/eu-west-1"
    assert desired({"resource.instance": "stage"}, PARTNER).alias == "alias/latchkey/adobe-experience-platform/stage"
    assert desired({"key.arn": KEY_ARN}, PARTNER).alias is None
    assert {desired(kind=kind).alias for kind in READ_BY_ROLE if kind.startswith("mediaconnect")} == {
        "alias/latchkey/mediaconnect"
    }


def test_spaces_in_the_name_of_a_secret_become_hyphens() -> None:
    wanted = desired({"resource.source": "main feed"}, "mediaconnect-source")
    assert wanted.secret_name == "latchkey/mediaconnect/1-AbCdEf-0123456789ab/sports/source/main-feed/token"
    assert wanted.access_id == "mediaconnect/flow/1-AbCdEf-0123456789ab/sports/source/main feed"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != PARTNER])
def test_the_owner_configures_the_resource_only_on_request(kind: str) -> None:
    assert not desired(kind=kind).hands_off
    assert desired({"resource.configure": False}, kind).hands_off


def test_a_resource_without_an_api_is_always_handed_off() -> None:
    assert desired(kind=PARTNER).hands_off
