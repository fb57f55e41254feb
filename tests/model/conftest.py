"""The functions' clients speak with the embedded AWS inside this process."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from latchkey import aws
from latchkey.registry import registry
from latchkey.revocations import revocations
from latchkey.settings import settings
from latchkey.states import states
from latchkey.turns import turns
from local_aws.assumptions import CURRENT
from local_aws.embedded import ACCOUNT
from tests.functions.invoking import ENVIRONMENT
from tests.model.wire import ENDPOINT, Wire
from tests.model.world import GRACE

_OWN = {"ACCOUNT_ID": ACCOUNT, "AWS_ENDPOINT_URL": ENDPOINT, "GRACE_SECONDS": str(GRACE)}
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "POWERTOOLS_LOG_LEVEL": "CRITICAL"}


def _forget() -> None:
    caches: list[Any] = [aws._session, aws._client, settings, registry, revocations, states, turns]
    for cached in caches:
        cached.cache_clear()


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ENVIRONMENT | _OWN | _CREDENTIALS).items():
            patch.setenv(name, value)
        # botocore waits before it repeats a call; nothing here becomes better by waiting.
        patch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
        _forget()
        served = Wire()
        served.attach(aws._session())
        yield served
    CURRENT.reset()
    _forget()
