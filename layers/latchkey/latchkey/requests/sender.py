"""The sender of a request, from the envelope of its event, which IAM can limit and a request cannot forge."""

from __future__ import annotations

import re
from dataclasses import dataclass

from latchkey.errors import Problem
from latchkey.systems import SYSTEMS
from latchkey.tags import DEFAULT_TENANT

SOURCE = "latchkey.requests"
NOT_ALLOWED = "not allowed for this tenant"
# The tenant of a request whose source names none. It is not a valid name, so it owns nothing.
NO_TENANT = "?"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class Sender:
    """The tenant in the source of an event, or NO_TENANT, and the account of the principal that sent it."""

    tenant: str
    account: str


def sender_of(source: str, account: str) -> Sender:
    """The sender of an event: `latchkey.requests` is the default tenant, `latchkey.requests.<tenant>` is any other."""
    if source == SOURCE:
        return Sender(DEFAULT_TENANT, account)
    name = source.removeprefix(f"{SOURCE}.")
    # One tenant has one source, so that an IAM policy for another source never covers it.
    return Sender(name if name not in (source, DEFAULT_TENANT) and is_tenant(name) else NO_TENANT, account)


def is_tenant(name: str) -> bool:
    """Whether a name is valid for a tenant: at most 32 lowercase letters, digits and inner hyphens.

    Names of systems are excluded, because the default tenant has them at the same position in the names of its resources.
    """
    return bool(_NAME.fullmatch(name)) and name not in SYSTEMS


def is_about_tenant(problem: Problem) -> bool:
    """Whether a request was rejected because of its sender, the bounds of its tenant, or a resource of another tenant."""
    if problem.rule == NOT_ALLOWED or problem.path.startswith("tenant."):
        return True
    # A request can have an unknown member with the same name.
    return problem.path in ("source", "account", "tenant") and not problem.rule.startswith("is not a known member")
