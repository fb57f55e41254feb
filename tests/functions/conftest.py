"""Runs every handler as Lambda does, in a moto account and without sockets."""

import io
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from botocore.model import OperationModel
from moto import mock_aws
from moto.core.serialize import AttributePicker, AttributePickerContext
from moto.kms import models
from moto.kms.models import Grant, KmsBackend

from latchkey.aws import clients, parameters
from latchkey.observability import logger
from latchkey.registry import registry, table
from latchkey.settings import settings
from tests.contract.artifacts import FUNCTIONS, actions, logical_id
from tests.functions.account import Account
from tests.functions.lambda_runtime import ENVIRONMENT, Context, handler
from tests.functions.onboarding_requests import EXECUTION, Run

_called: set[str] = set()
_STEPS = {"create_key", "create_secret", "attach_policies", "configure_access", "record_access"}


def _note(model: OperationModel, **_: Any) -> None:
    # The signing name of these services is the prefix of their IAM actions.
    _called.add(f"{model.service_model.signing_name}:{model.name}")


_scheduled_by_id: Any = KmsBackend.schedule_key_deletion


def _schedule_key_deletion(backend: KmsBackend, key_id: str, pending_window_in_days: int) -> Any:
    """Accepts an ARN, as KMS does; moto accepts only a key id."""
    return _scheduled_by_id(backend, key_id.rpartition("/")[2], pending_window_in_days)


_grant_in_json: Any = Grant.to_json


def _dated_grant(grant: Grant) -> dict[str, Any]:
    """Adds an old creation date, which KMS returns and moto does not."""
    entry: dict[str, Any] = _grant_in_json(grant) | {"CreationDate": 1.7e9}
    return entry


_pick: Any = AttributePicker.__call__
_VALUE_TYPES = frozenset({"S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"})


def _picked(picker: AttributePicker, context: AttributePickerContext) -> Any:
    """A member of an attribute value of DynamoDB. moto looks for each under several names, which takes long."""
    value = context.obj
    if isinstance(value, dict) and len(value) == 1 and context.key in _VALUE_TYPES and _VALUE_TYPES.issuperset(value):
        return value.get(context.key)
    return _pick(picker, context)


# moto generates a key pair for every key, even a symmetric one. No test signs, so one pair is enough.
_key_pair = cache(models.generate_private_key)


def _forget() -> None:
    for cached in (clients._client, parameters.parameters, settings, registry):
        cached.cache_clear()


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch, socket_disabled: None) -> Iterator[Account]:
    """An account with the registry table and the environment of the functions."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    # No wait for a held lease: in these tests, no other process can release it.
    monkeypatch.setattr(table, "LEASE_WAIT_SECONDS", 0)
    monkeypatch.setattr(KmsBackend, "schedule_key_deletion", _schedule_key_deletion)
    monkeypatch.setattr(Grant, "to_json", _dated_grant)
    monkeypatch.setattr(models, "generate_private_key", _key_pair)
    monkeypatch.setattr(AttributePicker, "__call__", _picked)
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
    """Sets environment variables as another set of stack parameters does."""

    def set_parameters(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()

    return set_parameters


@pytest.fixture
def run() -> Run:
    """Invokes a function with an event and returns its result, both converted to JSON and back.

    The steps of a request receive its execution, as the state machine passes it.
    Every AWS call of the function must be allowed by its role in the template.
    """

    def invoke(verb: str, event: dict[str, Any]) -> dict[str, Any]:
        _called.clear()
        request = event.get("request")
        if verb in _STEPS and isinstance(request, dict):
            event = {"executionArn": f"{EXECUTION}-{request['requestId']}"} | event
        try:
            answer: dict[str, Any] = json.loads(json.dumps(handler(verb)(json.loads(json.dumps(event)), Context(verb))))
        finally:
            beyond = _called - actions(FUNCTIONS[logical_id(verb)])
            assert not beyond, f"the template does not let {verb} call {', '.join(sorted(beyond))}"
        return answer

    return invoke


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The output of the logger."""
    written = io.StringIO()
    handler: Any = logger.registered_handler
    former = handler.setStream(written)
    yield written
    handler.setStream(former)
