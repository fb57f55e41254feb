"""What the tests of policy documents share: no sockets, since policies are pure data."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_network(socket_disabled: None) -> None:
    """Whoever opens a socket fails."""
