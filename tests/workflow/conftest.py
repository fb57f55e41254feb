"""The built template, deployed once per account. After every test, the account returns to the state of the deployment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from local_aws.tools.embedded_aws import Embedded, until
from local_aws.tools.outcomes import Outcomes
from tests.workflow.account_state import State, read_state
from tests.workflow.fault_injection import FaultInjection
from tests.workflow.onboarding import Onboarding


@dataclass(frozen=True)
class Account:
    """An account with the stack, a subscription to its outcomes, and the state after the deployment."""

    aws: Embedded
    outcomes: Outcomes
    fresh: State

    def reset(self) -> None:
        """Deletes everything that was created since the deployment, and every fault, assumption and count."""
        for path in ("faults", "assumptions", "calls", "origin"):
            self.aws.control("DELETE", path)
        until(lambda: self.aws.control("POST", "checkpoint")["restored"], "the end of all functions")
        self.outcomes.forget()


@contextmanager
def deployed(*, hurried: bool = False, concurrency: int | None = None) -> Iterator[Account]:
    with Embedded(deploy=True, hurried=hurried, concurrency=concurrency) as aws:
        account = Account(aws, Outcomes(aws), read_state(aws))
        aws.control("PUT", "checkpoint")
        yield account


@pytest.fixture(scope="session")
def account() -> Iterator[Account]:
    with deployed() as account:
        yield account


@pytest.fixture(scope="session")
def fast_account() -> Iterator[Account]:
    """An account whose state machines wait for a 200th of their time, for loops over many requests."""
    with deployed(hurried=True) as account:
        yield account


@pytest.fixture(scope="session")
def aws(account: Account) -> Embedded:
    return account.aws


@pytest.fixture(scope="session")
def outcomes(account: Account) -> Outcomes:
    return account.outcomes


@pytest.fixture
def onboarding(account: Account) -> Iterator[Onboarding]:
    yield Onboarding(account.aws, account.outcomes)
    account.reset()


@pytest.fixture
def assume(aws: Embedded) -> Callable[..., Any]:
    """Sets assumptions of the embedded AWS for one test."""
    return lambda **values: aws.control("PUT", "assumptions", values)


@pytest.fixture
def fast_onboarding(fast_account: Account) -> Iterator[Onboarding]:
    yield Onboarding(fast_account.aws, fast_account.outcomes)
    fast_account.reset()


@pytest.fixture
def report_sample(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Adds how much of a loop was run to the summary of the test session."""
    return lambda text: record_property("sample", text)


@pytest.fixture
def fault_injection(fast_account: Account, report_sample: Callable[[str], None]) -> Iterator[FaultInjection]:
    """Without trail events, because these tests say nothing about clean-ups."""
    fast_account.aws.control("PUT", "assumptions", {"trail": {"lose": 1}})
    yield FaultInjection(fast_account.aws, fast_account.outcomes, report_sample)
    fast_account.reset()


@pytest.fixture
def fast_aws(fast_account: Account) -> Embedded:
    return fast_account.aws
