"""clean_up_grants: executions at once, and owners that come back while their grants are revoked."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import NotYetEffective, TransientAwsError
from latchkey.revocations import revocations
from tests.functions.account import Account
from tests.functions.asking import Run
from tests.functions.cleaning import (
    GRANT,
    CleanUp,
    Lag,
    Look,
    at_call,
    come_back,
    crash,
    delete_location,
    first_look,
    onboarded,
    puts,
    second_look,
)
from tests.functions.test_undo_onboarding import Onboarding


@pytest.fixture(autouse=True)
def no_grace(stack: Callable[..., None]) -> None:
    stack(GRACE_SECONDS="0", ALLOWED_ORIGIN_HOSTS="*")


@pytest.fixture
def access(run: Run, account: Account) -> Onboarding:
    """MediaTailor makes a grant at every update."""
    made = onboarded(run, account)
    account.mediatailor.at_update = lambda: account.grant(made.key, GRANT, made.secret)
    return made


@pytest.fixture
def look(run: Run) -> Look:
    return lambda *keys: first_look(run, *keys)


@pytest.fixture
def clean_up(run: Run) -> CleanUp:
    return lambda first: second_look(run, first)


@pytest.fixture
def lag(monkeypatch: pytest.MonkeyPatch) -> Lag:
    return Lag(monkeypatch)


def test_of_two_executions_at_once_one_tells_the_removal(
    account: Account, access: Onboarding, look: Look, clean_up: CleanUp
) -> None:
    delete_location(account)
    first, second = look(), look()
    others: list[dict[str, Any]] = []
    at_call("mediatailor", "ListSourceLocations", lambda: others.append(clean_up(second)))

    cleaned = clean_up(first)

    assert [removed["removedBy"] for removed in others[0]["removed"]] == ["latchkey"]
    assert cleaned["removed"] == []


def test_a_late_execution_does_not_tell_the_removal_again(
    account: Account, access: Onboarding, look: Look, clean_up: CleanUp
) -> None:
    delete_location(account)
    first, second = look(), look()
    assert [removed["removedBy"] for removed in clean_up(first)["removed"]] == ["latchkey"]

    assert clean_up(second) == {"removed": [], "kept": [], "restored": False}


def test_an_execution_that_finds_the_grant_gone_while_another_revokes_does_not_name_the_service(
    account: Account, access: Onboarding, look: Look, clean_up: CleanUp
) -> None:
    delete_location(account)
    first, second = look(), look()
    others: list[dict[str, Any]] = []
    at_call("kms", "RevokeGrant", lambda: others.append(clean_up(second)), when="after-call")

    clean_up(first)

    assert [removed["removedBy"] for removed in others[0]["removed"]] == ["either"]


def test_an_owner_is_set_again_by_an_execution_that_began_beside_one_that_crashed(
    account: Account, access: Onboarding, look: Look, clean_up: CleanUp
) -> None:
    """The other had read what is open before the revocation."""
    delete_location(account)
    first, second = look(), look()
    before = puts(account)

    def revoke_and_crash() -> None:
        at_call("kms", "RevokeGrant", lambda: come_back(account, access))
        at_call("mediatailor", "DescribeSourceLocation", crash, 2)
        with pytest.raises(TransientAwsError):
            clean_up(first)

    at_call("mediatailor", "ListSourceLocations", revoke_and_crash)

    cleaned = clean_up(second)

    assert (cleaned["restored"], puts(account), revocations().open()) == (True, before + 1, [])


def test_an_owner_that_was_set_again_is_told_by_the_retry_that_finds_it_served(
    account: Account, access: Onboarding, look: Look, clean_up: CleanUp, lag: Lag
) -> None:
    delete_location(account)
    first, before = look(), puts(account)
    at_call("kms", "RevokeGrant", lambda: come_back(account, access))
    with pytest.raises(NotYetEffective):
        clean_up(first)
    lag.settle()

    cleaned = clean_up(first)

    assert (cleaned["restored"], puts(account)) == (True, before + 1)


def test_an_owner_that_is_set_again_after_another_closed_the_revocation_is_told(
    account: Account, access: Onboarding, look: Look, clean_up: CleanUp
) -> None:
    delete_location(account)
    first, second, before = look(), look(), puts(account)
    reached, go = threading.Event(), threading.Event()
    told: list[dict[str, Any]] = []
    other = threading.Thread(target=lambda: told.append(clean_up(second)))

    def wait_in_the_other() -> None:
        reached.set()
        assert go.wait(20)

    def let_the_other_end() -> None:
        go.set()
        other.join(20)
        come_back(account, access)

    at_call("mediatailor", "ListSourceLocations", wait_in_the_other)
    at_call("kms", "RevokeGrant", let_the_other_end, when="after-call")
    other.start()
    assert reached.wait(20)

    cleaned = clean_up(first)

    assert [one["restored"] for one in told] == [False]
    assert (cleaned["restored"], cleaned["removed"], puts(account)) == (True, [], before + 1)
