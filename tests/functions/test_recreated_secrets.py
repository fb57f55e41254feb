"""A secret that was deleted for good and created again under its name has another token, which nobody has rotated."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from latchkey.registry import registry
from tests.functions.account import ADOPT, Account
from tests.functions.onboarding_requests import SECRET_KEY, Run, existing
from tests.functions.onboarding_steps import Onboarding
from tests.functions.rotation_steps import Rotation

pytestmark = pytest.mark.usefixtures("any_origin_host")
REPLACES = {"replacesToken": True}
LONG_AGO = datetime.now(UTC) - timedelta(days=80)


def rotated_at(rotation: Rotation) -> datetime:
    found = registry().tokens.rotated_at(rotation.secret_resource)
    assert found
    return found


def delete_for_good(account: Account, secret: str) -> None:
    account.secretsmanager.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)


def current(account: Account, secret: str) -> str:
    version: str = account.secretsmanager.get_secret_value(SecretId=secret)["VersionId"]
    return version


def test_a_secret_that_is_created_again_has_no_history(run: Run, account: Account) -> None:
    rotation = Rotation(run, account)
    registry().tokens.note_rotation(rotation.secret_resource, LONG_AGO)
    delete_for_good(account, rotation.secret)

    again = Onboarding(run, account, requestId="again", secret=REPLACES).run_through("record_access")

    assert rotated_at(rotation) > LONG_AGO
    assert registry().tokens.versions(rotation.secret_resource) == {current(account, again.secret)}


def test_a_shared_secret_that_is_created_again_was_not_rotated(run: Run, account: Account) -> None:
    rotation = Rotation(run, account)
    account.secretsmanager.tag_resource(SecretId=rotation.secret, Tags=[{"Key": "latchkey:consent", "Value": "adopt"}])
    sharing = {"resource": {"sourceLocation": "news-origin"}, "secret": existing(rotation.secret)}
    Onboarding(run, account, requestId="sharing", **sharing).run_through("record_access")
    registry().tokens.note_rotation(rotation.secret_resource, LONG_AGO)
    delete_for_good(account, rotation.secret)

    again = Onboarding(run, account, requestId="again", secret=REPLACES).run_through("record_access")

    assert rotated_at(rotation) > LONG_AGO
    assert current(account, again.secret) in registry().tokens.versions(rotation.secret_resource)


def test_a_secret_that_its_owner_created_again_has_no_history(run: Run, account: Account) -> None:
    key, value = account.key(tags=ADOPT), json.dumps({SECRET_KEY: "present-token"})
    former = account.secret("origin/shared", value, key=key)
    rotation = Rotation(run, account, secret=existing(former), key={"arn": key})
    registry().tokens.note_rotation(rotation.secret_resource, LONG_AGO)
    former_version = current(account, former)
    delete_for_good(account, former)
    secret = account.secret("origin/shared", value, key=key)

    Onboarding(run, account, requestId="again", secret=existing(secret) | REPLACES, key={"arn": key}).run_through(
        "record_access"
    )

    versions = registry().tokens.versions(rotation.secret_resource)
    assert rotated_at(rotation) > LONG_AGO
    assert (current(account, secret) in versions, former_version in versions) == (True, False)


def test_a_request_that_is_repeated_keeps_the_history(run: Run, account: Account) -> None:
    rotation = Rotation(run, account)
    registry().tokens.note_rotation(rotation.secret_resource, LONG_AGO)

    Onboarding(run, account, requestId="again").run_through("record_access")

    assert rotated_at(rotation) == LONG_AGO
    assert current(account, rotation.secret) in registry().tokens.versions(rotation.secret_resource)
