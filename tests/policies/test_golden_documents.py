"""Golden files of the policy documents for MediaTailor, and properties that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latchkey import policies
from latchkey.access.desired import Desired
from tests.policies.foreign import KEY_POLICIES, SECRET_POLICIES
from tests.unit.samples import CONFIGURE_ROLE, EXISTING_ARN, FULL, PLACE, SECRET_ARN, desired, role, text, user

GOLDEN = Path(__file__).parent
Agrees = Callable[[Path, Any], None]
ADOPTING = {"secret.value.existing.secretArn": EXISTING_ARN}


def secret_policy(wanted: Desired) -> policies.Document:
    return policies.merge(None, wanted.secret_statements(SECRET_ARN))


NEW_DOCUMENTS: dict[str, policies.Document] = {
    "key-minimal": desired().new_key_policy,
    "key-full": desired(FULL).new_key_policy,
    "key-full-without-deletion": desired({**FULL, "key.allowDeletion": False}).new_key_policy,
    "key-for-an-existing-secret": desired(ADOPTING).new_key_policy,
    "secret-minimal": secret_policy(desired()),
    "secret-full": secret_policy(desired(FULL)),
}


@pytest.mark.parametrize("name", NEW_DOCUMENTS)
def test_a_new_document_equals_its_golden_file(name: str, agrees: Agrees) -> None:
    agrees(GOLDEN / "new" / f"{name}.json", NEW_DOCUMENTS[name])


@pytest.mark.parametrize("name", KEY_POLICIES)
def test_a_merged_key_policy_equals_its_golden_file(name: str, agrees: Agrees) -> None:
    before = KEY_POLICIES[name]
    agrees(
        GOLDEN / "merged" / f"key-{name}.json",
        {"before": before, "after": policies.merge(before, desired(FULL).key_statements)},
    )


@pytest.mark.parametrize("name", SECRET_POLICIES)
def test_a_merged_secret_policy_equals_its_golden_file(name: str, agrees: Agrees) -> None:
    before = SECRET_POLICIES[name]
    after = policies.merge(before, desired(FULL).secret_statements(SECRET_ARN))
    agrees(GOLDEN / "merged" / f"secret-{name}.json", {"before": before, "after": after})


def test_a_secret_from_the_default_key_adds_the_statement_of_that_key(agrees: Agrees) -> None:
    before = KEY_POLICIES["console"]
    once = policies.merge(before, [*desired(ADOPTING).key_statements, policies.default_key_rule([EXISTING_ARN], PLACE)])
    twice = policies.merge(once, [policies.default_key_rule([SECRET_ARN], PLACE)])
    agrees(GOLDEN / "merged" / "key-default-key-rule.json", {"before": before, "after": once, "afterAnotherSecret": twice})


def test_every_golden_file_belongs_to_a_document() -> None:
    written = {f"new/{name}" for name in NEW_DOCUMENTS} | {"merged/key-default-key-rule"}
    written |= {f"merged/key-{name}" for name in KEY_POLICIES} | {f"merged/secret-{name}" for name in SECRET_POLICIES}
    found = [*GOLDEN.glob("new/*.json"), *GOLDEN.glob("merged/*.json")]
    assert {str(path.relative_to(GOLDEN).with_suffix("")) for path in found} == written


def statement(document: policies.Document, sid: str) -> policies.Statement:
    [found] = [one for one in document["Statement"] if one.get("Sid") == sid]
    return dict(found)


def actions(document: policies.Document, sid: str) -> set[str]:
    given = statement(document, sid)["Action"]
    return {given} if isinstance(given, str) else set(given)


def test_a_new_key_policy_delegates_to_the_account_first() -> None:
    assert desired().new_key_policy["Statement"][0] == {
        "Sid": "EnableIAMUserPermissions",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
        "Action": "kms:*",
        "Resource": "*",
    }


def test_management_roles_create_grants_only_through_the_service() -> None:
    found = statement(
        desired({"managementRoles": [role("MediaTailorManagement")]}).new_key_policy, "LatchkeyMediatailorManagement"
    )
    assert found == {
        "Sid": "LatchkeyMediatailorManagement",
        "Effect": "Allow",
        "Principal": {"AWS": sorted([CONFIGURE_ROLE, role("MediaTailorManagement")])},
        "Action": "kms:CreateGrant",
        "Resource": "*",
        "Condition": {"StringEquals": {"kms:ViaService": "mediatailor.eu-west-1.amazonaws.com"}},
    }


def test_the_service_reads_one_secret_by_its_full_arn() -> None:
    assert statement(NEW_DOCUMENTS["secret-minimal"], "LatchkeyMediatailorReading") == {
        "Sid": "LatchkeyMediatailorReading",
        "Effect": "Allow",
        "Principal": {"Service": "mediatailor.amazonaws.com"},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": SECRET_ARN,
    }


@pytest.mark.parametrize("name", ["key-full", "key-full-without-deletion"])
def test_administrators_can_neither_use_the_key_nor_create_grants(name: str) -> None:
    cryptographic = ("Decrypt", "Encrypt", "ReEncrypt", "GenerateDataKey", "Sign", "Verify", "Derive", "CreateGrant", "*")
    found = actions(NEW_DOCUMENTS[name], "LatchkeyAdministrators")
    assert not [action for action in found if action.split(":")[1].startswith(cryptographic) or action.endswith("*")]
    assert {"kms:PutKeyPolicy", "kms:RevokeGrant", "kms:EnableKeyRotation"} <= found


def test_deletion_is_allowed_only_on_request() -> None:
    asked, not_asked = NEW_DOCUMENTS["key-full"], NEW_DOCUMENTS["key-full-without-deletion"]
    deletion = statement(asked, "LatchkeyDeletion")
    assert set(deletion["Action"]) == {"kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion"}
    assert deletion["Principal"] == statement(asked, "LatchkeyAdministrators")["Principal"]
    assert [one for one in asked["Statement"] if one != deletion] == not_asked["Statement"]
    assert not [one for one in not_asked["Statement"] if "Deletion" in text(one)]


def test_deletion_without_administrators_is_allowed_for_nobody() -> None:
    assert desired({"key.allowDeletion": True}).new_key_policy == NEW_DOCUMENTS["key-minimal"]


def test_decryption_is_limited_to_secrets_manager_and_the_secret() -> None:
    found = statement(NEW_DOCUMENTS["key-for-an-existing-secret"], "LatchkeySecretDecryption")["Condition"]
    assert found == {
        "StringEquals": {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"},
        "StringLike": {"kms:EncryptionContext:SecretARN": [policies.KEY_VALIDATION, EXISTING_ARN]},
    }


def test_management_roles_read_the_secret_only_through_the_service() -> None:
    found = statement(NEW_DOCUMENTS["secret-full"], "LatchkeyManagementRoles")
    assert found["Condition"] == {"Bool": {"aws:ViaAWSService": "true"}}
    assert found["Resource"] == SECRET_ARN


@pytest.mark.parametrize("name", NEW_DOCUMENTS)
def test_no_new_document_is_public(name: str) -> None:
    assert not policies.is_public(NEW_DOCUMENTS[name])


@pytest.mark.parametrize("name", [name for name in NEW_DOCUMENTS if name.startswith("key-")])
def test_a_new_key_policy_delegates_to_iam(name: str) -> None:
    assert policies.delegates_to_iam(NEW_DOCUMENTS[name], PLACE)


# Role names of a realistic maximum length, with a path.
MANY = [role(f"media/channel-assembly/MediaTailorManagement-{number:03}") for number in range(100)]
KEY_POLICY_BYTES, SECRET_POLICY_CHARACTERS = 32_768, 20_480


def test_a_hundred_roles_of_one_request_fit_both_documents() -> None:
    wanted = desired({"managementRoles": MANY[:50], "secret.originReaders": MANY[50:]})
    assert len(text(wanted.new_key_policy).encode()) <= KEY_POLICY_BYTES
    assert len(text(secret_policy(wanted))) <= SECRET_POLICY_CHARACTERS


def test_a_hundred_management_roles_of_two_requests_fit_both_documents() -> None:
    first, second = (desired({"managementRoles": roles}) for roles in (MANY[:50], MANY[50:]))
    key = policies.merge(first.new_key_policy, second.key_statements)
    secret = policies.merge(secret_policy(first), second.secret_statements(SECRET_ARN))
    assert set(MANY) <= set(statement(key, "LatchkeyMediatailorManagement")["Principal"]["AWS"])
    assert len(text(key).encode()) <= KEY_POLICY_BYTES
    assert len(text(secret)) <= SECRET_POLICY_CHARACTERS


def test_the_fullest_request_fits_a_key_policy() -> None:
    wanted = desired(
        {
            "managementRoles": MANY[:50],
            "secret.originReaders": MANY[50:],
            "key.administrators": [user(f"admin-{number}") for number in range(50)],
            "key.users": [user(f"user-{number}") for number in range(50)],
        }
    )
    assert len(text(wanted.new_key_policy).encode()) <= KEY_POLICY_BYTES
