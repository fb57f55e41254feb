"""Withdrawn consent: nothing else is changed, the access is unmanaged, and the remaining statements are reported."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.registry import registry
from tests.functions.account import ADOPT, Account
from tests.functions.onboarding_requests import EXECUTION, SECRET_KEY, Run, check_rejection, existing, rejected_paths
from tests.functions.onboarding_steps import Onboarding

ACCESS = "mediatailor/sourceLocation/sports-origin"


@pytest.fixture(autouse=True)
def any_host(stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")


@pytest.fixture
def adopted(run: Run, account: Account) -> dict[str, Any]:
    """The members of a fulfilled request with an adopted key and secret."""
    key = account.key(tags=ADOPT)
    secret = account.secret("theirs/token", json.dumps({SECRET_KEY: "a" * 20}), key=key)
    members = {"key": {"arn": key}, "secret": existing(secret)}
    Onboarding(run, account, **members).run_through("record_access")
    return members


def _access(account: Account) -> dict[str, Any]:
    [item] = account.items("access")
    return item


def test_an_access_is_unmanaged_when_its_key_loses_consent(run: Run, account: Account, adopted: dict[str, Any]) -> None:
    key = adopted["key"]["arn"]
    account.kms.untag_resource(KeyId=key, TagKeys=["latchkey:consent"])

    rejected = check_rejection(run, requestId="request-2", **adopted)

    left = f"{key}: LatchkeyMediatailorManagement, LatchkeySecretDecryption"
    assert {"key", "key.arn"} <= set(rejected)
    assert (_access(account)["status"], _access(account)["left"]) == ({"S": "unmanaged"}, {"L": [{"S": left}]})


def test_an_access_is_unmanaged_when_its_secret_loses_consent(run: Run, account: Account, adopted: dict[str, Any]) -> None:
    secret = adopted["secret"]["value"]["existing"]["secretArn"]
    account.secretsmanager.untag_resource(SecretId=secret, TagKeys=["latchkey:consent"])

    rejected = check_rejection(run, requestId="request-2", **adopted)

    assert "secret" in rejected
    assert _access(account)["left"] == {"L": [{"S": f"{secret}: LatchkeyMediatailorReading"}]}
    assert _access(account)["status"] == {"S": "unmanaged"}


def test_only_the_record_of_the_access_changes(run: Run, account: Account, adopted: dict[str, Any]) -> None:
    account.kms.untag_resource(KeyId=adopted["key"]["arn"], TagKeys=["latchkey:consent"])
    before = account.snapshot()

    check_rejection(run, requestId="request-2", **adopted)

    after = account.snapshot()
    assert {name: part for name, part in after.items() if name != "table"} == {
        name: part for name, part in before.items() if name != "table"
    }


def test_an_access_is_active_again_after_consent_returns(run: Run, account: Account, adopted: dict[str, Any]) -> None:
    key = adopted["key"]["arn"]
    account.kms.untag_resource(KeyId=key, TagKeys=["latchkey:consent"])
    check_rejection(run, requestId="request-2", **adopted)
    registry().locks.unlock(ACCESS, EXECUTION)
    account.kms.tag_resource(KeyId=key, Tags=[{"TagKey": name, "TagValue": value} for name, value in ADOPT.items()])

    Onboarding(run, account, requestId="request-3", **adopted).run_through("record_access")

    assert (_access(account)["status"], "left" in _access(account)) == ({"S": "active"}, False)


def test_a_request_with_other_problems_leaves_the_access_managed(run: Run, account: Account, adopted: dict[str, Any]) -> None:
    assert rejected_paths(run, requestId="request-2", managementRoles=["arn:aws:iam::123456789012:role/Nobody"], **adopted) == {
        "managementRoles.0"
    }

    assert _access(account)["status"] == {"S": "active"}
