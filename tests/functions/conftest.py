"""Every handler runs as Lambda runs it, in an account of moto, with no socket open."""

import io
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from botocore.model import OperationModel
from moto import mock_aws
from moto.kms import models
from moto.kms.models import Grant, KmsBackend

from latchkey.aws import clients
from latchkey.observability import logger
from latchkey.registry import registry, table
from latchkey.settings import settings
from tests.contract.artefacts import FUNCTIONS, actions, logical_id
from tests.functions.account import Account
from tests.functions.lambda_runtime import ENVIRONMENT, Context, handler
from tests.functions.onboarding_requests import Run

_called: set[str] = set()


def _note(model: OperationModel, **_: Any) -> None:
    # Of the services used, each signs with the name that its IAM actions begin with.
    _called.add(f"{model.service_model.signing_name}:{model.name}")


_scheduled_by_id: Any = KmsBackend.schedule_key_deletion


def _schedule_key_deletion(backend: KmsBackend, key_id: str, pending_window_in_days: int) -> Any:
    """KMS takes the key's ARN here as everywhere; moto takes its id alone."""
    return _scheduled_by_id(backend, key_id.rpartition("/")[2], pending_window_in_days)


_grant_in_json: Any = Grant.to_json


def _dated_grant(grant: Grant) -> dict[str, Any]:
    """KMS tells when it made a grant; to moto, all of them are old."""
    entry: dict[str, Any] = _grant_in_json(grant) | {"CreationDate": 1.7e9}
    return entry


# moto makes a key pair for every key, symmetric ones too; here nobody signs with one.
_key_pair = cache(models.generate_private_key)


def _forget() -> None:
    for cached in (clients._client, settings, registry):
        cached.cache_clear()


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch, socket_disabled: None) -> Iterator[Account]:
    """An account with the stack's table and bus, and the functions' environment in it."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    # A held lease is told at once: moto answers without delay, so nobody frees it meanwhile.
    monkeypatch.setattr(table, "LEASE_WAIT_SECONDS", 0)
    monkeypatch.setattr(KmsBackend, "schedule_key_deletion", _schedule_key_deletion)
    monkeypatch.setattr(Grant, "to_json", _dated_grant)
    monkeypatch.setattr(models, "generate_private_key", _key_pair)
    _forget()
    events = clients._session().events
    events.register("before-call", _note, unique_id="tests")
    with mock_aws():
        made = Account()
        made.build()
        with made.serve(events):
            yield made
    _forget()


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets environment variables as a deployment with other parameters would."""

    def set_parameters(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()

    return set_parameters


@pytest.fixture
def run() -> Run:
    """Invokes a function with an event as JSON brings it, and gives its answer as JSON takes it.

    Whatever the function calls must be among the IAM actions that the template gives it.
    """

    def invoke(verb: str, event: dict[str, Any]) -> dict[str, Any]:
        _called.clear()
        try:
            answer: dict[str, Any] = json.loads(json.dumps(handler(verb)(json.loads(json.dumps(event)), Context(verb))))
        finally:
            beyond = _called - actions(FUNCTIONS[logical_id(verb)])
            assert not beyond, f"the template does not let {verb} call {', '.join(sorted(beyond))}"
        return answer

    return invoke


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the functions' logger writes."""
    written = io.StringIO()
    handler: Any = logger.registered_handler
    former = handler.setStream(written)
    yield written
    handler.setStream(former)
