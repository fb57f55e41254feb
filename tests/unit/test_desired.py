"""The desired state of a request, with its defaults."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey import policies
from tests.unit.samples import (
    ACCOUNT,
    ATTACH_ROLE,
    CONFIGURE_ROLE,
    CREATE_KEY_ROLE,
    EXISTING_ARN,
    FULL,
    KEY_ARN,
    REMOVE_ROLE,
    SECRET_ARN,
    UNDO_ROLE,
    desired,
    role,
    text,
)

EXISTING = {"secret.value.existing.secretArn": EXISTING_ARN}


@pytest.mark.parametrize(
    ("changes", "alias"),
    [({}, "alias/latchkey/mediatailor"), ({"key.alias": "alias/sports"}, "alias/sports"), ({"key.arn": KEY_ARN}, None)],
)
def test_the_alias_identifies_the_key_unless_an_arn_does(changes: dict[str, Any], alias: str | None) -> None:
    assert desired(changes).alias == alias


@pytest.mark.parametrize(
    ("changes", "name", "needs_secret", "pattern"),
    [
        (
            {},
            "latchkey/mediatailor/sports-origin/token",
            True,
            f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:latchkey/mediatailor/sports-origin/token-??????",
        ),
        (
            {"secret.name": "latchkey/sports"},
            "latchkey/sports",
            True,
            f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:latchkey/sports-??????",
        ),
        (EXISTING, "origin/shared", False, EXISTING_ARN),
        (
            {"secret.value.copyFrom.secretArn": EXISTING_ARN},
            "latchkey/mediatailor/sports-origin/token",
            True,
            f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:latchkey/mediatailor/sports-origin/token-??????",
        ),
    ],
    ids=["default", "named", "existing", "copied"],
)
def test_the_name_of_a_secret_is_known_before_it_is_created(
    changes: dict[str, Any], name: str, needs_secret: bool, pattern: str
) -> None:
    wanted = desired(changes)
    assert (wanted.secret_name, wanted.needs_secret, wanted.secret_arn_pattern) == (name, needs_secret, pattern)


def test_our_function_and_the_requested_roles_configure_the_resource() -> None:
    assert desired().facts.managers == (CONFIGURE_ROLE,)
    assert desired(FULL).facts.managers == (CONFIGURE_ROLE, role("MediaTailorManagement"), role("media/Operators"))


def test_an_access_id_contains_system_kind_and_name() -> None:
    assert desired().access_id == "mediatailor/sourceLocation/sports-origin"
    assert desired().grant_name == f"MediaTailor-SourceLocation-{ACCOUNT}-sports-origin"


def test_the_origin_is_identified_by_its_host() -> None:
    assert desired({"resource.baseUrl": "https://Origin.Example.com:8443/vod"}).resource.origin_host == "origin.example.com"


@pytest.mark.parametrize(
    ("changes", "arn", "is_it"),
    [
        ({}, SECRET_ARN, True),
        ({}, SECRET_ARN[:-6] + "QwErTy", True),
        ({}, SECRET_ARN[: -len("-abcdef")], True),
        ({}, SECRET_ARN[: -len("abcdef")], False),
        ({}, SECRET_ARN.replace("sports", "news"), False),
        ({}, EXISTING_ARN, False),
        ({}, None, False),
        (EXISTING, EXISTING_ARN, True),
        (EXISTING, EXISTING_ARN[: -len("-abcdef")], True),
    ],
)
def test_the_secret_is_recognized_with_any_suffix_or_none(changes: dict[str, Any], arn: str | None, is_it: bool) -> None:
    assert desired(changes).is_secret(arn) is is_it


def test_only_a_resource_of_one_access_is_tagged_with_its_id() -> None:
    wanted = desired(FULL)
    assert wanted.tags(shared=True) == {
        "team": "sports",
        "latchkey:managed-by": "latchkey",
        "latchkey:request": "request-1",
        "latchkey:stack": "latchkey",
        "latchkey:tenant": "default",
    }
    assert wanted.tags() == wanted.tags(shared=True) | {"latchkey:access": "mediatailor/sourceLocation/sports-origin"}


def test_tags_stay_within_the_aws_limits() -> None:
    changes = {"requestId": "r" * 128, "resource.sourceLocation": "s" * 128, "tags": {f"tag{n}": "v" * 256 for n in range(40)}}
    tags = desired(changes).tags()
    assert len(tags) <= 50
    assert all(len(value) <= 256 for value in tags.values())


@pytest.mark.parametrize(
    ("tags", "made"),
    [
        ({"latchkey:request": "request-1"}, True),
        ({"latchkey:request": "request-1", "latchkey:managed-by": "latchkey", "team": "sports"}, True),
        ({"latchkey:request": "request-10", "latchkey:managed-by": "latchkey"}, False),
        ({"latchkey:managed-by": "latchkey"}, False),
        ({"latchkey:request": "request-1", "latchkey:managed-by": "latchkey", "latchkey:tenant": "default"}, True),
        ({"latchkey:request": "request-1", "latchkey:managed-by": "latchkey", "latchkey:tenant": "sports"}, False),
        ({"latchkey:request": "request-1", "latchkey:managed-by": "latchkey", "latchkey:stack": "latchkey"}, True),
        ({"latchkey:request": "request-1", "latchkey:managed-by": "latchkey", "latchkey:stack": "latchkey-test"}, False),
        ({"request": "request-1"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_request_created_the_resources_with_its_id(tags: dict[str, str], made: bool) -> None:
    assert desired().made(tags) is made


@pytest.mark.parametrize("shared", [True, False])
def test_a_request_recognizes_only_the_tags_of_its_own_resources(shared: bool) -> None:
    assert desired().made(desired(FULL).tags(shared=shared))
    assert not desired().made(desired({"requestId": "request-2"}).tags(shared=shared))


@pytest.mark.parametrize(
    ("changes", "resource"),
    [
        ({}, "secret latchkey/mediatailor/sports-origin/token"),
        ({"secret.name": "latchkey/sports"}, "secret latchkey/sports"),
        (EXISTING, "secret origin/shared"),
    ],
    ids=["default", "named", "existing"],
)
def test_a_created_and_an_adopted_secret_have_the_same_registry_key(changes: dict[str, Any], resource: str) -> None:
    assert desired(changes).secret_resource == resource


def test_accesses_that_share_a_secret_share_its_registry_key() -> None:
    shared = desired({"resource.sourceLocation": "news-origin", "secret.value.existing.secretArn": SECRET_ARN})
    assert shared.secret_resource == desired().secret_resource


def test_there_are_no_statements_for_roles_that_are_not_requested() -> None:
    assert [statement["Sid"] for statement in desired().key_statements] == [
        "LatchkeyMediatailorManagement",
        "LatchkeySecretDecryption",
    ]
    assert [statement["Sid"] for statement in desired().secret_statements(SECRET_ARN)] == ["LatchkeyMediatailorReading"]


def test_a_secret_from_the_default_key_keeps_its_readers() -> None:
    assert desired().key_share().written == desired().key_statements
    *kept, former = desired().key_share(SECRET_ARN).written
    assert tuple(kept) == desired().key_statements
    *needed, own = desired().key_share(SECRET_ARN).needed
    assert tuple(needed) == desired().needed_key_statements
    assert former["Sid"] == own["Sid"] == "LatchkeyFormerDefaultKey"
    assert own["Condition"]["StringLike"] == {"kms:EncryptionContext:SecretARN": [SECRET_ARN]}
    # Secrets Manager also checks the key when somebody changes the secret.
    assert former["Condition"]["StringLike"] == {"kms:EncryptionContext:SecretARN": [policies.KEY_VALIDATION, SECRET_ARN]}


def test_a_new_key_names_every_role_that_writes_its_policy() -> None:
    [creation] = [one for one in desired().new_key_policy["Statement"] if one["Sid"] == "LatchkeyCreation"]
    assert creation["Principal"] == {"AWS": sorted([CREATE_KEY_ROLE, ATTACH_ROLE, REMOVE_ROLE, UNDO_ROLE])}
    assert (creation["Action"], "Condition" in creation) == ("kms:PutKeyPolicy", False)
    assert desired().key_share().extended == (creation,)


def test_an_access_needs_neither_the_check_of_the_key_nor_the_writers_in_a_policy_of_an_earlier_version() -> None:
    needed = desired().key_share().needed
    assert policies.KEY_VALIDATION not in text(needed)
    assert "LatchkeyCreation" not in text(needed)


POWERS: dict[str, dict[str, Any]] = {
    "key.administrators": {"key.administrators": [role("Admin")]},
    "key.allowDeletion": {"key.administrators": [role("Admin")], "key.allowDeletion": True},
    "key.users": {"key.users": [role("User")]},
}


@pytest.mark.parametrize("path", POWERS)
def test_missing_powers_are_listed_by_request_path(path: str) -> None:
    asking = desired(POWERS[path])

    assert asking.asks_for_powers
    assert path in asking.powers_missing_from(policies.new_document(()))
    assert asking.powers_missing_from(asking.new_key_policy) == []


def test_a_request_without_powers_misses_none() -> None:
    assert not desired().asks_for_powers
    assert desired().powers_missing_from(policies.new_document(())) == []


def test_one_request_creates_one_version_of_a_secret() -> None:
    first, second = desired({"requestId": "request-1"}), desired({"requestId": "request-2"})
    assert first.version_id == desired({"requestId": "request-1"}).version_id != second.version_id
    # A ClientRequestToken has 32 to 64 characters.
    assert len(first.version_id) == 64
