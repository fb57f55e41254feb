"""The tags with which Latchkey marks what it creates, and with which owners consent."""

from __future__ import annotations

from collections.abc import Mapping

MANAGED_BY = "latchkey:managed-by"
REQUEST = "latchkey:request"
ACCESS = "latchkey:access"
CONSENT = "latchkey:consent"
ROTATION_CONSENT = "latchkey:rotation-consent"
TENANT = "latchkey:tenant"
STACK = "latchkey:stack"
OURS = "latchkey"
# The tenant of requests whose source names none.
DEFAULT_TENANT = "default"


def tenant_of(tags: Mapping[str, str]) -> str:
    """The tenant to which the resource with these tags belongs. Only the resources of the default tenant can lack the tag."""
    return tags.get(TENANT, DEFAULT_TENANT)


def is_ours(tags: Mapping[str, str], stack: str) -> bool:
    """Whether this stack created the resource with these tags. Version 0.1.0 did not set the tag of the stack."""
    return tags.get(MANAGED_BY) == OURS and other_stack(tags, stack) is None


def other_stack(tags: Mapping[str, str], stack: str) -> str | None:
    """The name of another stack of Latchkey that created the resource with these tags, or None."""
    creator = tags.get(STACK, stack) if tags.get(MANAGED_BY) == OURS else stack
    return None if creator == stack else creator


def may_rotate(tags: Mapping[str, str], stack: str) -> bool:
    """Whether this stack created the secret with these tags, or its owner consented that Latchkey changes its value."""
    return is_ours(tags, stack) or (tags.get(CONSENT) == "adopt" and tags.get(ROTATION_CONSENT) == "rotate")


def is_ours_or_consented(tags: Mapping[str, str], stack: str) -> bool:
    """Whether this stack created the resource with these tags, or its owner consented that Latchkey adopts it."""
    return is_ours(tags, stack) or tags.get(CONSENT) == "adopt"
