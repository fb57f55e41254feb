"""Runs every handler as Lambda does, in a moto account and without sockets."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import pytest
from botocore.model import OperationModel
from botocore.useragent import UserAgentString
from moto import backend_index, mock_aws
from moto.core import responses
from moto.core.base_backend import BackendDict
from moto.kms import models
from moto.kms.models import Grant, KmsBackend
from moto.secretsmanager.responses import SecretsManagerResponse

from latchkey.aws import clients, parameters
from latchkey.observability import logger
from latchkey.registry import registry, table
from latchkey.settings import settings
from tests.contract.artifacts import FUNCTIONS, actions, logical_id
from tests.contract.test_permissions import AUTHORIZED_AS
from tests.functions.account import Account
from tests.functions.call_faults import CallFaults
from tests.functions.function_clients import FunctionClients
from tests.functions.lambda_runtime import ENVIRONMENT, Context, handler
from tests.functions.onboarding_requests import EXECUTION, Run

_called: set[str] = set()
# The calls of the current test that change something, except those to the registry.
_changed: Counter[str] = Counter()
_READS = ("BatchGet", "Describe", "Get", "List", "Simulate")
_STEPS = {"create_key", "create_secret", "attach_policies", "configure_access", "record_access"}


def _note(model: OperationModel) -> None:
    # The signing name of these services is the prefix of their IAM actions.
    name = f"{model.service_model.signing_name}:{model.name}"
    name = AUTHORIZED_AS.get(name, name)
    _called.add(name)
    if not model.name.startswith(_READS) and not name.startswith(("dynamodb:", "events:")):
        _changed[name] += 1


_scheduled_by_id: Any = KmsBackend.schedule_key_deletion


def _schedule_key_deletion(backend: KmsBackend, key_id: str, pending_window_in_days: int) -> Any:
    """Accepts an ARN, as KMS does; moto accepts only a key id."""
    return _scheduled_by_id(backend, key_id.rpartition("/")[2], pending_window_in_days)


_grant_in_json: Any = Grant.to_json


def _dated_grant(grant: Grant) -> dict[str, Any]:
    """Adds an old creation date, which KMS returns and moto does not."""
    entry: dict[str, Any] = _grant_in_json(grant) | {"CreationDate": 1.7e9}
    return entry


def _list_resource_policies(response: SecretsManagerResponse) -> str:
    """ListResourcePolicies, which moto does not have. No secret in moto has another policy than `default`."""
    found = json.loads(response.get_resource_policy())
    return json.dumps({"ResourcePolicies": [{"PolicyName": "default"}] if found.get("ResourcePolicy") else []})


# moto generates a key pair for every key, even a symmetric one. No test signs, so one pair is enough.
_key_pair = cache(models.generate_private_key)


# moto compares every URL with the patterns of all services in turn, and looks up the operations of a service for every call.
_USED = ("kms", "s3", "secretsmanager", "iam", "sts", "ssm", "events", "stepfunctions")
backend_index.backend_url_patterns.sort(key=lambda pattern: pattern[0] not in _USED)
_operations = cache(responses.method_names_from_class)


# The account of the current test.
_accounts: list[Account] = []


@cache
def _function_clients() -> FunctionClients:
    return FunctionClients(lambda: _accounts[-1], _note)


def _forget() -> None:
    _accounts.clear()
    for cached in (parameters.parameters, settings, registry):
        cached.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def _moto() -> Iterator[None]:
    """moto, which takes longer to start than to empty."""
    with mock_aws():
        yield


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch, socket_disabled: None, _moto: None) -> Iterator[Account]:
    """An account with the registry table and the environment of the functions."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    # botocore assembles the header anew for every call.
    monkeypatch.setattr(UserAgentString, "to_string", lambda _: "tests")
    # No wait for a held lease: in these tests, no other process can release it.
    monkeypatch.setattr(table, "LEASE_WAIT_SECONDS", 0)
    monkeypatch.setattr(KmsBackend, "schedule_key_deletion", _schedule_key_deletion)
    monkeypatch.setattr(Grant, "to_json", _dated_grant)
    monkeypatch.setattr(models, "generate_private_key", _key_pair)
    monkeypatch.setattr(responses, "method_names_from_class", _operations)
    monkeypatch.setattr(SecretsManagerResponse, "list_resource_policies", _list_resource_policies, raising=False)
    served = _function_clients()
    monkeypatch.setattr(clients, "_client", served.client)
    monkeypatch.setattr(clients, "_session", lambda: served.session)
    _forget()
    BackendDict.reset()
    made = Account()
    made.build()
    _accounts.append(made)
    yield made
    served.forget_changed()
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
def any_origin_host(stack: Callable[..., None]) -> None:
    """A stack that sends tokens to every host."""
    stack(ALLOWED_ORIGIN_HOSTS="*")


@pytest.fixture
def faults(account: Account) -> CallFaults:
    """Counts and fails the AWS calls of all functions, which publish outcomes."""
    account.open_bus()
    return CallFaults()


@pytest.fixture
def run(account: Account) -> Run:
    """Invokes a function with an event and returns its result, both converted to JSON and back.

    The steps of a request receive its execution, as the state machine passes it. Unless the event names one, it holds the lock
    of the access meanwhile.
    Every AWS call of the function must be allowed by its role in the template.
    """

    def invoke(verb: str, event: dict[str, Any]) -> dict[str, Any]:
        _called.clear()
        request = event.get("request")
        lock: AbstractContextManager[None] = nullcontext()
        if verb in _STEPS and isinstance(request, dict) and "executionArn" not in event:
            event = {"executionArn": f"{EXECUTION}-{request['requestId']}"} | event
            lock = account.locked(request, event["executionArn"])
        try:
            with lock:
                answer: dict[str, Any] = json.loads(json.dumps(handler(verb)(json.loads(json.dumps(event)), Context(verb))))
        finally:
            beyond = _called - actions(FUNCTIONS[logical_id(verb)])
            assert not beyond, f"the template does not let {verb} call {', '.join(sorted(beyond))}"
        return answer

    return invoke


@pytest.fixture
def changing_calls() -> Counter[str]:
    """How often the functions have made each call that changes something, in this test."""
    _changed.clear()
    return _changed


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The output of the logger."""
    written = io.StringIO()
    handler: Any = logger.registered_handler
    former = handler.setStream(written)
    yield written
    handler.setStream(former)
