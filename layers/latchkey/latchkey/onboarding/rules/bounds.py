"""What the stack parameters allow: requests choose within them."""

from __future__ import annotations

from fnmatch import fnmatchcase

from latchkey.settings import Settings


def principal_rule(arn: str, settings: Settings) -> str | None:
    """The rule that a principal breaks, or None if the stack allows requests to name it."""
    if not any(fnmatchcase(arn, pattern) for pattern in settings.trusted_principal_patterns):
        return "not allowed by the stack parameter TrustedPrincipalPatterns: name an allowed principal, or add this one to it"
    return None


def allows_host(host: str, settings: Settings) -> bool:
    """Whether the stack allows requests to send an existing token to this host."""
    return any(fnmatchcase(host, pattern.lower()) for pattern in settings.allowed_origin_hosts)


def is_in_account(arn: str, settings: Settings) -> bool:
    """Whether an ARN belongs to the account of the stack."""
    return arn.split(":")[4] == settings.place.account
