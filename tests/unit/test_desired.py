"""From a request to what should be true, with the defaults a reader of the documents expects."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey import policies
from tests.unit.samples import ACCOUNT, CONFIGURE_ROLE, EXISTING_ARN, FULL, KEY_ARN, SECRET_ARN, desired, role

EXISTING = {"secret.value.existing.secretArn": EXISTING_ARN}


@pytest.mark.parametrize(
    ("changes", "alias"),
    [({}, "alias/latchkey/mediatailor"), ({"key.alias": "alias/sports"}, "alias/sports"), ({"key.arn": KEY_ARN}, None)],
)
def test_a_key_is_found_by_its_alias_unless_its_arn_is_given(changes: dict[str, Any], alias: str | None) -> None:
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
def test_a_secret_is_known_before_it_is_made(changes: dict[str, Any], name: str, needs_secret: bool, pattern: str) -> None:
    wanted = desired(changes)
    assert (wanted.secret_name, wanted.needs_secret, wanted.secret_arn_pattern) == (name, needs_secret, pattern)


def test_our_function_and_the_asked_roles_configure_the_resource() -> None:
    assert desired().facts.managers == (CONFIGURE_ROLE,)
    assert desired(FULL).facts.managers == (CONFIGURE_ROLE, role("MediaTailorManagement"), role("media/Operators"))


def test_the_access_is_named_by_system_kind_and_name() -> None:
    assert desired().access_id == "mediatailor/sourceLocation/sports-origin"
    assert desired().grant_name == f"MediaTailor-SourceLocation-{ACCOUNT}-sports-origin"


def test_the_origin_is_known_by_its_host_alone() -> None:
    assert desired({"resource.baseUrl": "https://Origin.Example.com:8443/vod"}).resource.origin_host == "origin.example.com"


@pytest.mark.parametrize(
    ("changes", "arn", "is_it"),
    [
        ({}, SECRET_ARN, True),
        ({}, SECRET_ARN[:-6] + "QwErTy", True),
        ({}, SECRET_ARN.replace("sports", "news"), False),
        ({}, EXISTING_ARN, False),
        ({}, None, False),
        (EXISTING, EXISTING_ARN, True),
    ],
)
def test_its_secret_is_known_by_its_name_whatever_the_suffix(changes: dict[str, Any], arn: str | None, is_it: bool) -> None:
    assert desired(changes).is_secret(arn) is is_it


def test_a_resource_of_one_access_carries_its_id_and_a_shared_one_does_not() -> None:
    wanted = desired(FULL)
    assert wanted.tags(shared=True) == {"team": "sports", "latchkey:managed-by": "latchkey", "latchkey:request": "request-1"}
    assert wanted.tags() == wanted.tags(shared=True) | {"latchkey:access": "mediatailor/sourceLocation/sports-origin"}


def test_tags_stay_within_what_aws_takes() -> None:
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
        ({"request": "request-1"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_request_made_what_carries_its_id(tags: dict[str, str], made: bool) -> None:
    assert desired().made(tags) is made


@pytest.mark.parametrize("shared", [True, False])
def test_a_request_knows_what_it_tagged_and_not_what_another_did(shared: bool) -> None:
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
def test_a_secret_has_one_name_in_the_registry_whether_it_is_made_or_adopted(changes: dict[str, Any], resource: str) -> None:
    assert desired(changes).secret_resource == resource


def test_an_access_that_shares_a_secret_meets_the_one_that_made_it() -> None:
    shared = desired({"resource.sourceLocation": "news-origin", "secret.value.existing.secretArn": SECRET_ARN})
    assert shared.secret_resource == desired().secret_resource


def test_nothing_is_said_for_roles_nobody_asked_for() -> None:
    assert [statement["Sid"] for statement in desired().key_statements] == [
        "LatchkeyMediatailorManagement",
        "LatchkeySecretDecryption",
    ]
    assert [statement["Sid"] for statement in desired().secret_statements(SECRET_ARN)] == ["LatchkeyMediatailorReading"]


def test_a_secret_that_leaves_the_default_key_takes_that_keys_rule_along() -> None:
    own = desired().key_statements

    assert desired().key_statements_beside(SECRET_ARN, under_default_key=False) == own
    *kept, former = desired().key_statements_beside(SECRET_ARN, under_default_key=True)
    assert tuple(kept) == own
    assert former["Sid"] == "LatchkeyFormerDefaultKey"
    assert former["Condition"]["StringLike"] == {"kms:EncryptionContext:SecretARN": [SECRET_ARN]}


POWERS: dict[str, dict[str, Any]] = {
    "key.administrators": {"key.administrators": [role("Admin")]},
    "key.allowDeletion": {"key.administrators": [role("Admin")], "key.allowDeletion": True},
    "key.users": {"key.users": [role("User")]},
}


@pytest.mark.parametrize("place", POWERS)
def test_power_over_the_key_is_named_by_its_place_in_the_request(place: str) -> None:
    asking = desired(POWERS[place])

    assert asking.asks_for_powers
    assert place in asking.powers_missing_from(policies.new_document(()))
    assert asking.powers_missing_from(asking.new_key_policy) == []


def test_a_request_that_asks_for_no_power_misses_none() -> None:
    assert not desired().asks_for_powers
    assert desired().powers_missing_from(policies.new_document(())) == []
