"""The hosts to which a resource sends a secret, whoever has configured it. Pure."""

from __future__ import annotations

import re

from latchkey.systems.system import Configured

# A URL whose host every client parses in the same way.
_URL = re.compile(r"https?://(?:([a-z0-9._-]+)|\[([0-9a-f:.]+)\])(?::[0-9]*)?(?:/[\x21-\x5b\x5d-\x7e]*)?", re.IGNORECASE)


def configured_hosts(configured: Configured | None, secret_name: str) -> frozenset[str]:
    """The hosts to which a resource sends a secret now."""
    # A resource can name the secret by its ARN, by its ARN without the random suffix, or by its name.
    if configured is None or secret_name not in (configured.secret_arn or ""):
        return frozenset()
    return frozenset(_host_of(value) for value in configured.settings.values() if "://" in value)


def _host_of(url: str) -> str:
    """The host of a URL that somebody else set, or a text that only the pattern * matches.

    Clients parse URLs with other characters differently, so the host could be another one for the service.
    """
    host = _URL.fullmatch(url)
    return (host[1] or host[2]).lower() if host else "?"
