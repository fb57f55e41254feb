"""sweep_grants: what no event told is found on every key."""

from collections.abc import Callable
from typing import Any

import pytest

from latchkey.registry import registry
from tests.functions.account import ACCOUNT, ADOPT, Account
from tests.functions.asking import NAME, Run, existing
from tests.functions.cleaning import ACCESS, GRANT, by_token, delete_location, first_look, second_look
from tests.functions.machine import Machine
from tests.functions.test_undo_onboarding import VALUE, Onboarding

OTHER_ACCESS = "mediatailor/sourceLocation/theirs"


@pytest.fixture(autouse=True)
def no_grace(stack: Callable[..., None]) -> None:
    stack(GRACE_SECONDS="0", ALLOWED_ORIGIN_HOSTS="*")


@pytest.fixture
def machine(account: Account) -> Machine:
    Machine("end-request")
    return Machine("clean-up-grants")


def sweep(run: Run, event_id: str = "event-1") -> dict[str, Any]:
    return run("sweep_grants", {"id": event_id})


def test_the_former_key_of_an_access_that_was_adopted_configured_is_swept(run: Run, account: Account) -> None:
    theirs = account.key(tags=ADOPT, alias="alias/theirs")
    secret = account.secret("theirs/token", VALUE, key=theirs)
    account.mediatailor.add(NAME, by_token(secret))
    account.grant(theirs, GRANT, secret)
    Onboarding(run, account, key={"arn": theirs}, secret=existing(secret)).go("record_access")

    moved = {"key": {"alias": "alias/latchkey/new"}, "secret": existing(secret, moveKey=True)}
    after = Onboarding(run, account, requestId="request-2", **moved).go("record_access")

    assert registry().grant_keys(ACCESS) == {theirs, after.key}


def test_the_key_of_an_access_that_is_restored_is_swept(run: Run, account: Account) -> None:
    theirs = account.key(tags=ADOPT, alias="alias/theirs")
    secret = account.secret("theirs/token", VALUE, key=theirs)
    account.mediatailor.add(NAME, by_token(secret))
    account.grant(theirs, GRANT, secret)
    access = Onboarding(run, account, key={"arn": theirs}, secret=existing(secret)).go("record_access")

    registry().restore_access(ACCESS, access.request["requestId"])

    assert registry().access(ACCESS) is None
    assert registry().grant_keys(ACCESS) == {theirs}


def test_an_orphan_of_a_location_nobody_asked_for_is_found_on_a_key_that_no_access_uses(
    run: Run, account: Account, machine: Machine
) -> None:
    """A management role may put other locations under a key of Latchkey's."""
    access = Onboarding(run, account).go("configure_access")
    account.grant(access.key, GRANT, access.secret)
    access.end()
    account.grant(access.key, f"MediaTailor-SourceLocation-{ACCOUNT}-theirs", access.secret)
    delete_location(account)
    second_look(run, first_look(run))
    assert registry().grant_keys(ACCESS) == frozenset()

    told = sweep(run)

    assert (told["cleaning"], told["keys"]) == ([OTHER_ACCESS], 1)
    assert [*machine().values()] == [{"accessId": OTHER_ACCESS, "keys": [access.key]}]
    assert len(run("list_grants", {"keys": []})["grants"]) == 1
