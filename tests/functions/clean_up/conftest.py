"""An onboarded access, and the two surveys of its cleanup without a grace period."""

from collections.abc import Callable

import pytest

from tests.functions.account import Account
from tests.functions.clean_up_steps import CleanUpRun, SurveyRun, first_survey, onboarded, second_survey
from tests.functions.onboarding_requests import Run
from tests.functions.onboarding_steps import Onboarding


@pytest.fixture(autouse=True)
def no_grace(stack: Callable[..., None]) -> None:
    stack(GRACE_SECONDS="0", ALLOWED_ORIGIN_HOSTS="*")


@pytest.fixture
def access(run: Run, account: Account) -> Onboarding:
    return onboarded(run, account)


@pytest.fixture
def survey(run: Run) -> SurveyRun:
    return lambda *keys: first_survey(run, *keys)


@pytest.fixture
def clean_up(run: Run) -> CleanUpRun:
    return lambda first: second_survey(run, first)
