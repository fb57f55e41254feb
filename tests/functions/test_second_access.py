"""A second access on the same key with the same roles changes neither the key nor its policy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from latchkey import policies
from latchkey.access.desired import desire
from latchkey.requests.parsing import parse_onboarding
from latchkey.settings import settings
from latchkey.tags import DEFAULT_TENANT
from tests.functions.account import Account
from tests.functions.onboarding_requests import Run, onboarding
from tests.functions.onboarding_steps import Onboarding, key_statements, secret_statements

NEWS = {"sourceLocation": "news-origin"}


def _calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that are called from now on."""
    import botocore.client

    made: list[str] = []
    call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def recorded(self: Any, operation: str, members: Any) -> Any:
        made.append(operation)
        return call(self, operation, members)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", recorded)
    return made


def _former(**members: Any) -> tuple[policies.Statement, ...]:
    """The key statements of a request as versions before 0.2.0 wrote them."""
    return desire(parse_onboarding(onboarding(**members)), settings(), DEFAULT_TENANT).needed_key_statements


def _write(account: Account, key: str, statements: list[policies.Statement]) -> None:
    account.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policies.new_document(statements)))


def test_a_second_access_makes_three_changes_and_none_to_the_key(
    run: Run, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Onboarding(run, account).run_through("record_access")
    policy = key_statements(account, first.key)
    made = _calls(monkeypatch)

    second = Onboarding(run, account, requestId="request-2", resource=NEWS).run_through()

    assert second.key == first.key
    changes = [call for call in made if call.startswith(("Create", "Put", "Update", "Delete", "Tag", "Enable"))]
    registry = {"PutItem", "UpdateItem", "DeleteItem", "PutMetricData"}
    assert [call for call in changes if call not in registry] == ["CreateSecret", "PutResourcePolicy", "CreateSourceLocation"]
    assert key_statements(account, first.key) == policy
    assert secret_statements(account, second.secret) != []


def test_an_access_of_a_former_version_stays_as_it_is(run: Run, account: Account) -> None:
    first = Onboarding(run, account).run_through("record_access")
    own = {statement["Sid"]: statement for statement in _former()}
    former = [own.get(statement["Sid"], statement) for statement in key_statements(account, first.key)]
    _write(account, first.key, former)

    Onboarding(run, account, requestId="request-2").run_through()

    assert key_statements(account, first.key) == former


def test_the_next_access_replaces_the_statements_of_a_former_version(run: Run, account: Account) -> None:
    first = Onboarding(run, account).run_through("record_access")
    present = key_statements(account, first.key)
    own = {statement["Sid"]: statement for statement in _former()}
    _write(account, first.key, [own.get(statement["Sid"], statement) for statement in present])

    second = Onboarding(run, account, requestId="request-2", resource=NEWS).run_through()
    assert key_statements(account, first.key) == present
    second.undo()

    assert policies.missing_from(policies.new_document(key_statements(account, first.key)), _former()) == []
