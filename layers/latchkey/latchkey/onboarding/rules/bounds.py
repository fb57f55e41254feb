"""Pure: what the stack's parameters let requests do. Requests choose within them and never beyond."""

from __future__ import annotations

from fnmatch import fnmatchcase

from latchkey.settings import Settings


def principal_rule(arn: str, settings: Settings) -> str | None:
    """Why a request may not name a principal, or None if it may."""
    if not any(fnmatchcase(arn, pattern) for pattern in settings.trusted_principal_patterns):
        return "is none of the principals that the stack's parameter TrustedPrincipalPatterns allows"
    return None


def allows_host(host: str, settings: Settings) -> bool:
    """May a token that exists newly go to this host?"""
    return any(fnmatchcase(host, pattern.lower()) for pattern in settings.allowed_origin_hosts)
