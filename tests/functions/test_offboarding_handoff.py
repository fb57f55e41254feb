"""The offboarding of an access that has an unconfirmed hand-off with a secret, and maybe a key, of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from latchkey.errors import LatchkeyError
from latchkey.registry import registry
from tests.functions.account import Account
from tests.functions.clean_up_steps import ACCESS
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.offboarding_steps import Offboarding
from tests.functions.onboarding_requests import Run
from tests.functions.onboarding_steps import Onboarding, references
from tests.functions.test_restoration import check, finish, restore, with_deletion

NAME = "latchkey/mediatailor/sports-origin/next"


@pytest.fixture(autouse=True)
def bus(account: Account) -> None:
    account.open_bus()


def handed_off(run: Run, account: Account, **members: Any) -> tuple[Onboarding, Onboarding]:
    """An active access, and the hand-off of the same access with another secret."""
    access = Onboarding(run, account).run_through("record_access")
    handoff = {"requestId": "request-2", "resource": {"configure": False}, "secret": {"name": NAME}}
    return access, Onboarding(run, account, **handoff | members).run_through("record_access")


def is_being_deleted(account: Account, secret: str) -> bool:
    return "DeletedDate" in account.secretsmanager.describe_secret(SecretId=secret)


def test_the_secret_that_latchkey_created_for_the_handoff_is_deleted_too(run: Run, account: Account) -> None:
    access, handoff = handed_off(run, account)
    assert access.secret != handoff.secret

    result = Offboarding(run, access).run_through()

    assert is_being_deleted(account, handoff.secret)
    assert {one["resource"] for one in result["scheduled"]} == {access.secret, handoff.secret}
    assert result["left"] == []
    assert not [resource for resource in references(account) if resource.startswith("secret ")]


def test_a_restoration_restores_the_secret_of_the_access_and_not_that_of_the_handoff(run: Run, account: Account) -> None:
    access, handoff = handed_off(run, account)
    Offboarding(run, access).run_through()

    check(run, access)
    assert restore(run, access)["secretArn"] == access.secret
    finish(run, access)

    assert is_being_deleted(account, handoff.secret)
    assert registry().phases.state(ACCESS) == "active"


def test_the_secret_of_a_handoff_is_deleted_although_that_of_the_access_was_adopted(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    secret = account.secret("theirs/token", '{"MyAccessTokenIdentifier": "not-a-real-token"}')
    access = Onboarding(run, account, secret={"value": {"existing": {"secretArn": secret}}}).run_through("record_access")
    handoff = Onboarding(run, account, requestId="request-2", resource={"configure": False}, secret={"name": NAME})
    handoff.run_through("record_access")

    result = Offboarding(run, access).run_through()

    assert (is_being_deleted(account, secret), is_being_deleted(account, handoff.secret)) == (False, True)
    assert [one["resource"] for one in result["scheduled"]] == [handoff.secret]
    assert registry().offboardings.get(ACCESS).secret_arn is None  # type: ignore[union-attr]


def test_a_key_of_the_handoff_that_could_be_deleted_is_named(run: Run, account: Account) -> None:
    key = with_deletion(account)["key"]
    access, handoff = handed_off(run, account, key=key | {"alias": "alias/latchkey/next"})

    result = Offboarding(run, access).run_through()

    assert handoff.key != access.key
    assert [handoff.key in text for text in result["left"]] == [True]
    assert registry().offboardings.get(ACCESS).key_arn is None  # type: ignore[union-attr]


@pytest.mark.parametrize("call", range(1, 6))
def test_a_crash_while_the_offboarding_is_recorded_leaves_no_reference(run: Run, account: Account, call: int) -> None:
    key = with_deletion(account)["key"]
    access, handoff = handed_off(run, account, key=key | {"alias": "alias/latchkey/next"})
    offboarding = Offboarding(run, access)
    for one in (offboarding.check, offboarding.detach, offboarding.remove, offboarding.delete):
        one()
    at_call("dynamodb", "UpdateItem", answer_with_error("UpdateItem"), number=call)
    with suppress(LatchkeyError):
        offboarding.record()

    offboarding.record()

    assert registry().phases.state(ACCESS) == "offboarded"
    assert not {access.key, handoff.key} & {*references(account)}


@pytest.mark.parametrize("call", range(1, 6))
def test_a_failure_after_the_access_was_recorded_as_offboarded_says_that_something_changed(
    run: Run, account: Account, call: int
) -> None:
    offboarding = Offboarding(run, Onboarding(run, account).run_through("record_access"))
    for one in (offboarding.check, offboarding.detach, offboarding.remove, offboarding.delete):
        one()
    at_call("dynamodb", "UpdateItem", answer_with_error("UpdateItem"), number=call, when="after-call")
    with suppress(LatchkeyError):
        offboarding.record()

    assert offboarding.record(failed=True)["changed"]
