"""The documents of tenants: one JSON document for each tenant in Parameter Store, which limits what it can request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from latchkey.aws.parameters import parameters
from latchkey.errors import InvalidRequest, Problem
from latchkey.requests.sender import NO_TENANT, NOT_ALLOWED, Sender
from latchkey.settings import Settings
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel

# What an advanced parameter can hold: https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
_LONGEST_DOCUMENT = 8192

_Account = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
# The same characters as in the parameters of the template, so that the asterisk is the only wildcard.
_Principal = Annotated[str, StringConstraints(pattern=r"^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/[A-Za-z0-9_+=.@/*-]+$")]
_Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.*-]{1,253}$")]
_AccessIds = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[A-Za-z]+/[A-Za-z0-9 ._/=*-]{1,512}$")]
_Alias = Annotated[str, StringConstraints(pattern=r"^alias/[A-Za-z0-9/_*-]{1,250}$")]
_Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_+=.@-]{2,128}$")]
# Not strict, so that a JSON array becomes a tuple. Its items stay strict.
_Several = Field(strict=False, max_length=100)


class TenantDocument(WireModel):
    """The bounds of one tenant. An absent member allows what the stack parameters allow; an empty list allows nothing.

    `accounts` are the accounts that can send requests; if it is absent, only the account of the stack can.
    `trustedPrincipals`, `originHosts` and `partnerAccounts` narrow the parameters TrustedPrincipalPatterns, AllowedOriginHosts
    and AllowedPartnerAccounts. `resources` are patterns of access IDs, and `keyAliases` are patterns of aliases.
    `secretPrefix` is the prefix of the names of new secrets.
    """

    accounts: Annotated[tuple[_Account, ...] | None, _Several] = None
    trusted_principals: Annotated[tuple[_Principal, ...] | None, _Several] = None
    origin_hosts: Annotated[tuple[_Host, ...] | None, _Several] = None
    partner_accounts: Annotated[tuple[_Account, ...] | None, _Several] = None
    resources: Annotated[tuple[_AccessIds, ...] | None, _Several] = None
    key_aliases: Annotated[tuple[_Alias, ...] | None, _Several] = None
    secret_prefix: _Prefix | None = None


NO_DOCUMENT = TenantDocument()


@dataclass(frozen=True)
class Tenants:
    """Reads the documents. `read` returns the text of a parameter, or None if there is no such parameter."""

    settings: Settings
    read: Callable[[str], str | None]

    def is_known(self, tenant: str) -> bool:
        """Whether a tenant is the default tenant, or has a document."""
        return tenant == DEFAULT_TENANT or self._text(tenant) is not None

    def document(self, tenant: str) -> TenantDocument:
        """The document of a tenant. Raises InvalidRequest with every problem if the document is missing or not valid.

        The default tenant needs no document.
        """
        text = self._text(tenant)
        if text is None:
            if tenant == DEFAULT_TENANT:
                return NO_DOCUMENT
            rule = "names a tenant that does not exist: correct the source, or create the document of the tenant"
            raise InvalidRequest([Problem("source", rule)])
        if len(text) > _LONGEST_DOCUMENT:
            raise InvalidRequest([Problem("tenant", f"must be a document of at most {_LONGEST_DOCUMENT} characters")])
        try:
            document = TenantDocument.model_validate_json(text)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            raise InvalidRequest(Problem(_path(one["loc"]), _rule(one["type"])) for one in found) from None
        if wider := [*_wider(document, self.settings)]:
            raise InvalidRequest(wider)
        return document

    def check_sender(self, sender: Sender) -> None:
        """Raises InvalidRequest if the source of an event names no tenant, or if the tenant does not list the account.

        Without `accounts`, only the account of the stack can send requests, whatever the policy of the bus allows. A function
        that is invoked without an event has no account.
        """
        if sender.tenant == NO_TENANT:
            rule = "must be latchkey.requests, or latchkey.requests.<tenant> with the name of a tenant"
            raise InvalidRequest([Problem("source", rule)])
        accounts = self.document(sender.tenant).accounts
        if sender.account not in (("", self.settings.place.account) if accounts is None else accounts):
            raise InvalidRequest([Problem("account", NOT_ALLOWED)])

    def _text(self, tenant: str) -> str | None:
        return self.read(f"{self.settings.tenant_parameters}/{tenant}")


def tenants(settings: Settings) -> Tenants:
    """The tenants of this stack."""
    return Tenants(settings, parameters().read)


def _path(location: Sequence[str | int]) -> str:
    """The path of a problem in the document. The name of an unknown member is not repeated."""
    known = {field.alias for field in TenantDocument.model_fields.values()}
    named = [str(part) if isinstance(part, int) or part in known else "<name>" for part in location]
    return ".".join(["tenant", *named])


def _rule(kind: str) -> str:
    rules = {
        "extra_forbidden": "is not a known member",
        "json_invalid": "must be a JSON object",
        "model_type": "must be a JSON object",
        "string_pattern_mismatch": "has a format that is not allowed",
        "string_type": "must be text",
        "too_long": "has too many members",
        "tuple_type": "must be a list",
    }
    return f"{rules.get(kind, 'is not valid')}: correct the document of the tenant"


def _wider(document: TenantDocument, settings: Settings) -> Iterator[Problem]:
    """The members that allow more than the parameters of the stack.

    Patterns are compared as text: one is within another if the other matches it, and only an asterisk matches an asterisk.
    """
    hosts = tuple(pattern.lower() for pattern in settings.allowed_origin_hosts)
    narrowed = (
        ("trustedPrincipals", document.trusted_principals, settings.trusted_principal_patterns, "TrustedPrincipalPatterns"),
        ("originHosts", document.origin_hosts and tuple(map(str.lower, document.origin_hosts)), hosts, "AllowedOriginHosts"),
        ("partnerAccounts", document.partner_accounts, settings.allowed_partner_accounts, "AllowedPartnerAccounts"),
    )
    for member, patterns, allowed, parameter in narrowed:
        for index, pattern in enumerate(patterns or ()):
            if not any(fnmatchcase(pattern, outer) for outer in allowed):
                yield Problem(f"tenant.{member}.{index}", f"is wider than the stack parameter {parameter}: narrow it")
    if document.secret_prefix is not None and not document.secret_prefix.startswith(settings.secret_prefix):
        yield Problem("tenant.secretPrefix", "must begin with the stack parameter SecretPrefix")
