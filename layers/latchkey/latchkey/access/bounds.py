"""What a tenant can request: the parameters of the stack, narrowed by the document of the tenant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from latchkey.access.desired import Desired
from latchkey.access.tenants import NO_DOCUMENT, TenantDocument
from latchkey.errors import Problem
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.settings import Settings


@dataclass(frozen=True)
class Bounds:
    """The parameters of the stack, and the document of one tenant. What either of them excludes is not allowed."""

    settings: Settings
    document: TenantDocument = NO_DOCUMENT


def bounds_problems(desired: Desired, bounds: Bounds) -> Iterator[Problem]:
    """Everything in a request that its tenant is not allowed, whatever is in the account.

    It is applied to every new request, and again to every recorded request whose statements are written together with those of
    another one. The hosts of existing tokens depend on what reads them: see `allows_host`.
    """
    document = bounds.document
    for path, arns in desired.request.principals.items():
        for index, arn in enumerate(arns):
            if rule := principal_rule(arn, bounds):
                yield Problem(f"{path}.{index}", rule)
    for index, statement in enumerate(desired.resource.partners):
        if rule := partner_rule(statement.account, bounds):
            yield Problem(f"resource.partnerStatements.{index}.Principal.AWS", rule)
    if not _matches(desired.access_id, document.resources):
        yield Problem("resource", NOT_ALLOWED)
    if desired.alias is not None and not _matches(desired.alias, document.key_aliases):
        yield Problem("key.alias", NOT_ALLOWED)
    if desired.needs_secret and not desired.secret_name.startswith(document.secret_prefix or ""):
        yield Problem("secret.name", NOT_ALLOWED)


def principal_rule(arn: str, bounds: Bounds) -> str | None:
    """The rule that a principal breaks, or None if the stack and the tenant allow requests to name it."""
    if not _matches(arn, bounds.settings.trusted_principal_patterns):
        rule = (
            "is not allowed by the stack parameter TrustedPrincipalPatterns: name an allowed principal, or add this one to it"
        )
        return f"{arn} {rule}"
    return None if _matches(arn, bounds.document.trusted_principals) else NOT_ALLOWED


def partner_rule(account: str, bounds: Bounds) -> str | None:
    """The rule that the account of a partner breaks, or None if the stack and the tenant allow sharing a key with it."""
    if account not in bounds.settings.allowed_partner_accounts:
        return f"is in account {account}, which the stack parameter AllowedPartnerAccounts does not list: add it there"
    return None if _matches(account, bounds.document.partner_accounts) else NOT_ALLOWED


def allows_host(host: str, bounds: Bounds) -> bool:
    """Whether the stack and the tenant allow requests to send an existing token to this host."""
    hosts = bounds.document.origin_hosts
    lower = None if hosts is None else tuple(pattern.lower() for pattern in hosts)
    return _matches(host, tuple(pattern.lower() for pattern in bounds.settings.allowed_origin_hosts)) and _matches(host, lower)


def is_in_account(arn: str, settings: Settings) -> bool:
    """Whether an ARN belongs to the account of the stack."""
    return arn.split(":")[4] == settings.place.account


def _matches(value: str, patterns: tuple[str, ...] | None) -> bool:
    """Whether a value matches one of the patterns. If there is no list of patterns, every value does."""
    return patterns is None or any(fnmatchcase(value, pattern) for pattern in patterns)
