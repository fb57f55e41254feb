"""The tags with which Latchkey marks what it creates, and with which owners consent."""

from __future__ import annotations

from collections.abc import Mapping

MANAGED_BY = "latchkey:managed-by"
REQUEST = "latchkey:request"
ACCESS = "latchkey:access"
CONSENT = "latchkey:consent"
TENANT = "latchkey:tenant"
OURS = "latchkey"
# The tenant of requests whose source names none.
DEFAULT_TENANT = "default"


def tenant_of(tags: Mapping[str, str]) -> str:
    """The tenant to which the resource with these tags belongs. Only the resources of the default tenant can lack the tag."""
    return tags.get(TENANT, DEFAULT_TENANT)


def is_ours(tags: Mapping[str, str]) -> bool:
    """Whether Latchkey created the resource with these tags."""
    return tags.get(MANAGED_BY) == OURS


def is_ours_or_consented(tags: Mapping[str, str]) -> bool:
    """Whether Latchkey created the resource with these tags, or its owner consented that Latchkey adopts it."""
    return is_ours(tags) or tags.get(CONSENT) == "adopt"
