"""An onboarded access, and the two looks of its clean-up with no grace period between them."""

from collections.abc import Callable

import pytest

from tests.functions.account import Account
from tests.functions.asking import Run
from tests.functions.carrying_out import Onboarding
from tests.functions.cleaning import CleanUp, Look, first_look, onboarded, second_look


@pytest.fixture(autouse=True)
def no_grace(stack: Callable[..., None]) -> None:
    stack(GRACE_SECONDS="0", ALLOWED_ORIGIN_HOSTS="*")


@pytest.fixture
def access(run: Run, account: Account) -> Onboarding:
    return onboarded(run, account)


@pytest.fixture
def look(run: Run) -> Look:
    return lambda *keys: first_look(run, *keys)


@pytest.fixture
def clean_up(run: Run) -> CleanUp:
    return lambda first: second_look(run, first)
