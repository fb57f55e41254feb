"""Hand-offs: a repeated hand-off brings no foreign token to its host, and a confirmation checks the host again."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.registry import registry
from tests.functions.account import IMPORT, Account
from tests.functions.onboarding_requests import (
    NAME,
    SECRET_KEY,
    Run,
    check_event,
    copied,
    existing,
    rejected_paths,
    rejection,
)
from tests.functions.onboarding_steps import Onboarding

ACCESS = f"mediatailor/sourceLocation/{NAME}"
ELSEWHERE = {"baseUrl": "https://elsewhere.example.org/vod", "configure": False}
VALUE = json.dumps({SECRET_KEY: "v" * 30})
BASE_URL, COPY = "resource.baseUrl", "secret.value.copyFrom"


@pytest.fixture(autouse=True)
def no_host(stack: Callable[..., None]) -> None:
    """Allows no host for existing tokens."""
    stack(ALLOWED_ORIGIN_HOSTS="")


def hand_off(run: Run, account: Account, **members: Any) -> Onboarding:
    return Onboarding(run, account, **{"resource": ELSEWHERE} | members).run_through("record_access")


def confirmation(access: Onboarding, **members: Any) -> dict[str, Any]:
    """The input of check_request for the confirmation of a hand-off."""
    return check_event(access.request | {"requestId": "confirm-1"}, executionArn="arn:confirm-1", confirms=True, **members)


def test_a_repeated_hand_off_copies_no_token(run: Run, account: Account) -> None:
    hand_off(run, account)
    source = account.secret("theirs/token", "v" * 30, tags=IMPORT)

    assert rejected_paths(run, requestId="request-2", resource=ELSEWHERE, secret=copied(source)) == {BASE_URL, COPY}


def test_a_repeated_hand_off_adopts_no_other_secret(run: Run, account: Account) -> None:
    hand_off(run, account)
    theirs = account.secret("theirs/token", VALUE)

    assert rejected_paths(run, requestId="request-2", resource=ELSEWHERE, secret=existing(theirs)) == {BASE_URL}


def test_a_repeated_hand_off_changes_to_no_other_secret_of_its_access(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    """A request that generates a token keeps an existing secret of this name, whatever its value is."""
    second = "latchkey/mediatailor/second"
    stack(ALLOWED_ORIGIN_HOSTS="*")
    source = account.secret("theirs/token", "v" * 30, tags=IMPORT)
    hand_off(run, account, requestId="request-0", secret=copied(source, name=second))
    hand_off(run, account)
    stack(ALLOWED_ORIGIN_HOSTS="")

    assert rejected_paths(run, requestId="request-2", resource=ELSEWHERE, secret={"name": second}) == {BASE_URL}


@pytest.mark.parametrize("adopts", [True, False], ids=["existing", "generate"])
def test_a_hand_off_with_the_same_secret_can_be_repeated(
    run: Run, account: Account, stack: Callable[..., None], adopts: bool
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    secret = {"secret": existing(account.secret("theirs/token", VALUE))} if adopts else {}
    hand_off(run, account, **secret)
    stack(ALLOWED_ORIGIN_HOSTS="")

    hand_off(run, account, requestId="request-2", tags={"team": "sports"}, **secret)


@pytest.mark.parametrize("ask", [existing, copied])
def test_a_confirmation_checks_the_host_of_a_foreign_token_again(
    run: Run, account: Account, stack: Callable[..., None], ask: Callable[..., dict[str, Any]]
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="elsewhere.example.org")
    tags = IMPORT if ask is copied else None
    access = hand_off(run, account, secret=ask(account.secret("theirs/token", VALUE, tags=tags)))
    stack(ALLOWED_ORIGIN_HOSTS="")

    rules = rejection(run, "check_request", confirmation(access))

    assert set(rules) == {"accessId"}
    assert "AllowedOriginHosts" in rules["accessId"]
    assert registry().origin_hosts(access.secret, ACCESS) == set()


def test_a_confirmation_checks_the_host_of_a_token_in_service_again(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    Onboarding(run, account).run_through("record_access")
    stack(ALLOWED_ORIGIN_HOSTS="elsewhere.example.org")
    access = hand_off(run, account, requestId="request-2")
    stack(ALLOWED_ORIGIN_HOSTS="")

    assert set(rejection(run, "check_request", confirmation(access))) == {"accessId"}


def test_a_hand_off_of_a_new_token_can_be_confirmed_for_any_host(run: Run, account: Account) -> None:
    access = hand_off(run, account)

    assert run("check_request", confirmation(access))["confirms"]


@pytest.mark.parametrize("ask", [existing, copied])
def test_a_host_that_receives_the_token_can_be_confirmed_again(
    run: Run, account: Account, stack: Callable[..., None], ask: Callable[..., dict[str, Any]]
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="elsewhere.example.org")
    tags = IMPORT if ask is copied else None
    access = hand_off(run, account, secret=ask(account.secret("theirs/token", VALUE, tags=tags)))
    run("check_request", confirmation(access))
    resources = {"keyArn": access.key, "secretArn": access.secret, "resourceArn": "arn:location"}
    run("record_access", {"request": access.request, "resources": resources, "status": "active", "confirms": True})
    stack(ALLOWED_ORIGIN_HOSTS="")

    assert run("check_request", confirmation(access))["confirms"]


def test_a_confirmation_knows_that_a_failed_request_can_have_copied_a_token(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    access = hand_off(run, account)
    stack(ALLOWED_ORIGIN_HOSTS="elsewhere.example.org")
    source = account.secret("theirs/token", "v" * 30, tags=IMPORT)
    copying = Onboarding(run, account, requestId="request-2", resource=ELSEWHERE, secret=copied(source))
    copying.run_through("create_secret").undo()
    copying.end()
    assert "v" * 30 in account.value(access.secret)
    stack(ALLOWED_ORIGIN_HOSTS="")

    assert set(rejection(run, "check_request", confirmation(access))) == {"accessId"}
