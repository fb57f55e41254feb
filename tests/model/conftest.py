"""Connects the clients of the functions to the embedded AWS in this process."""

import time
from collections.abc import Iterator
from datetime import datetime, tzinfo
from types import SimpleNamespace
from typing import Any, Self

import pytest

from latchkey.aws import clients, errors, grants
from latchkey.cleanup import clean_up_grants, report_clean_up, survey, sweep_grants
from latchkey.registry import access_locks, grant_keys, registry, requests, table
from latchkey.registry import sweep_lock as sweep_locking
from latchkey.settings import settings
from local_aws.emulator import clock, user_agents
from local_aws.emulator.account import ACCOUNT
from local_aws.emulator.assumptions import CURRENT
from tests.functions.lambda_runtime import ENVIRONMENT
from tests.model.in_process_aws import ENDPOINT, InProcessAws
from tests.model.world import GRACE

_OWN = {"ACCOUNT_ID": ACCOUNT, "AWS_ENDPOINT_URL": ENDPOINT, "GRACE_SECONDS": str(GRACE)}
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "POWERTOOLS_LOG_LEVEL": "CRITICAL"}


class _Datetime(datetime):
    """Uses the clock of the account, which also dates grants."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp(clock.seconds(), tz)


def _set_clocks(patch: pytest.MonkeyPatch) -> None:
    for module in (errors, clean_up_grants, grants, survey, report_clean_up, grant_keys, requests, sweep_grants, table):
        patch.setattr(module, "datetime", _Datetime)
    for module in (access_locks, table, sweep_locking):
        patch.setattr(module, "time", SimpleNamespace(time=clock.seconds, monotonic=time.monotonic, sleep=lambda _: None))


def _forget() -> None:
    caches: list[Any] = [clients._session, clients._client, settings, registry]
    for cached in caches:
        cached.cache_clear()


@pytest.fixture(scope="module")
def aws() -> Iterator[InProcessAws]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ENVIRONMENT | _OWN | _CREDENTIALS).items():
            patch.setenv(name, value)
        # botocore sleeps before a retry, which would change nothing here.
        patch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
        _set_clocks(patch)
        _forget()
        user_agents.remember()
        served = InProcessAws()
        served.attach(clients._session())
        yield served
    CURRENT.reset()
    _forget()
