"""check_request: an existing token reaches only hosts that the stack allows or that already receive it, whatever the route."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.functions.account import IMPORT, Account
from tests.functions.onboarding_requests import NAME, SECRET_NAME, Run, check_event, copied, onboarding, rejection
from tests.functions.onboarding_steps import Onboarding, account_snapshot

TOKEN = "v" * 30
BASE_URL, COPY = "resource.baseUrl", "secret.value.copyFrom"
ELSEWHERE = {"baseUrl": "https://elsewhere.example.org/vod"}
HANDED_OFF = {"configure": False}


@pytest.fixture(autouse=True)
def one_host(stack: Callable[..., None]) -> None:
    """Allows the host of the sample request and no other."""
    stack(ALLOWED_ORIGIN_HOSTS="origin.example.com")


@pytest.fixture
def source(account: Account) -> str:
    """A secret that its owner lets requests copy."""
    return account.secret("theirs/token", TOKEN, tags=IMPORT)


def rejected(run: Run, account: Account, **members: Any) -> set[str]:
    """The paths of the problems of a second request, which must change no secret and no resource."""
    before = _resources(account)
    event = check_event(onboarding(requestId="request-2", **members), executionArn="arn:two")
    rules = rejection(run, "check_request", event)
    assert _resources(account) == before
    return set(rules)


def _resources(account: Account) -> dict[str, Any]:
    snapshot = account_snapshot(account)
    return {name: snapshot[name] for name in ("secrets", "policies", "locations")} | {"items": account.items("resource")}


@pytest.mark.parametrize("second", [{}, HANDED_OFF], ids=["configured", "handed off"])
@pytest.mark.parametrize("first", [{}, HANDED_OFF], ids=["configured", "handed off"])
def test_a_token_is_not_copied_into_a_secret_that_another_host_receives(
    run: Run, account: Account, source: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """The service would send the copied token to that host until the location is configured, or forever if a step fails."""
    Onboarding(run, account, resource=ELSEWHERE | first).run_through("record_access")

    assert rejected(run, account, resource=second, secret=copied(source)) == {COPY}


def test_a_token_is_copied_after_the_host_was_changed_or_into_another_secret(run: Run, account: Account, source: str) -> None:
    Onboarding(run, account, resource=ELSEWHERE).run_through("record_access")
    secret = copied(source, name="latchkey/mediatailor/second", replacesToken=True)
    Onboarding(run, account, requestId="request-2", secret=secret).run_through("check_request").end()

    Onboarding(run, account, requestId="request-3").run_through("record_access")
    third = Onboarding(run, account, requestId="request-4", secret=copied(source)).run_through("record_access")
    assert TOKEN in account.value(third.secret)


@pytest.mark.parametrize("second", [{}, HANDED_OFF], ids=["configured", "handed off"])
@pytest.mark.parametrize("named", ["arn", "partial", "name"])
def test_a_token_is_not_copied_into_a_secret_that_the_resource_now_sends_to_another_host(
    run: Run, account: Account, source: str, second: dict[str, Any], named: str
) -> None:
    """The record names an allowed host, but somebody changed the base URL of the location since."""
    first = Onboarding(run, account).run_through("record_access")
    location = account.mediatailor.locations[NAME]
    location["HttpConfiguration"] = {"BaseUrl": ELSEWHERE["baseUrl"]}
    arns = {"arn": first.secret, "partial": first.secret[:-7], "name": SECRET_NAME}
    location["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]["SecretArn"] = arns[named]

    assert rejected(run, account, resource=second, secret=copied(source)) == {COPY}


@pytest.mark.parametrize(
    "url", [r"https://elsewhere.example.org\@origin.example.com/", "https://[origin.example.com/", "http://"]
)
def test_a_host_that_clients_can_read_differently_is_not_an_allowed_host(
    run: Run, account: Account, source: str, url: str
) -> None:
    Onboarding(run, account).run_through("record_access")
    account.mediatailor.locations[NAME]["HttpConfiguration"] = {"BaseUrl": url}

    assert rejected(run, account, secret=copied(source)) == {COPY}


def test_a_resource_that_sends_another_secret_does_not_prevent_a_copy(run: Run, account: Account, source: str) -> None:
    Onboarding(run, account).run_through("record_access")
    location = account.mediatailor.locations[NAME]
    location["HttpConfiguration"] = {"BaseUrl": ELSEWHERE["baseUrl"]}
    location["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]["SecretArn"] = source

    Onboarding(run, account, requestId="request-2", secret=copied(source)).run_through("create_secret")


def test_a_token_is_not_copied_into_the_secret_of_a_hand_off_that_is_not_confirmed(
    run: Run, account: Account, source: str
) -> None:
    """The owner can configure the location with the other host and this secret at any time."""
    Onboarding(run, account).run_through("record_access")
    second = {"name": "latchkey/mediatailor/second", "replacesToken": True}
    handed_off = Onboarding(run, account, requestId="request-0", resource=ELSEWHERE | HANDED_OFF, secret=second)
    handed_off.run_through("record_access")

    assert rejected(run, account, secret=copied(source, name="latchkey/mediatailor/second", replacesToken=True)) == {COPY}


def test_a_failed_copy_lets_no_host_receive_the_source(
    run: Run, account: Account, source: str, stack: Callable[..., None]
) -> None:
    Onboarding(run, account).run_through("record_access")
    failed = Onboarding(run, account, requestId="request-0", secret=copied(source)).run_through("check_request")
    failed.undo()
    failed.end()
    stack(ALLOWED_ORIGIN_HOSTS="")

    assert rejected(run, account, secret=copied(source)) == {BASE_URL, COPY}


def test_a_copy_can_be_repeated_for_the_host_that_receives_it(
    run: Run, account: Account, source: str, stack: Callable[..., None]
) -> None:
    Onboarding(run, account, secret=copied(source)).run_through("record_access")
    stack(ALLOWED_ORIGIN_HOSTS="")
    account.secretsmanager.put_secret_value(SecretId=source, SecretString="w" * 30)

    again = Onboarding(run, account, requestId="request-2", secret=copied(source)).run_through("record_access")
    assert "w" * 30 in account.value(again.secret)


def test_the_host_of_one_copied_member_does_not_receive_another(run: Run, account: Account, stack: Callable[..., None]) -> None:
    several = account.secret("theirs/tokens", '{"one": "11111111", "two": "22222222"}', tags=IMPORT)
    Onboarding(run, account, secret=copied(several, "one")).run_through("record_access")
    stack(ALLOWED_ORIGIN_HOSTS="")

    assert rejected(run, account, secret=copied(several, "two")) == {BASE_URL, COPY}
