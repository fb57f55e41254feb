"""Fixtures for the unit tests: no sockets, and an environment without credentials of a real account."""

from __future__ import annotations

import pytest

import latchkey.registry.table
from latchkey.registry import Registry
from latchkey.registry.table import Table
from tests import dynamodb
from tests.unit.samples import REGION


@pytest.fixture(autouse=True)
def _no_network(socket_disabled: None) -> None:
    """A test that opens a socket fails."""


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry on an empty table, on which a held lease is reported without a wait."""
    monkeypatch.setattr(latchkey.registry.table, "LEASE_WAIT_SECONDS", 0)
    dynamodb.create_only_table("accesses")
    return Registry(Table(dynamodb.client(), "accesses"))
