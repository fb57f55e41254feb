"""The tags by which Latchkey recognizes what it created and what owners have approved."""

from __future__ import annotations

from collections.abc import Mapping


def is_ours(tags: Mapping[str, str]) -> bool:
    return tags.get(MANAGED_BY) == OURS


def is_ours_or_consented(tags: Mapping[str, str]) -> bool:
    return is_ours(tags) or tags.get(CONSENT) == "adopt"


MANAGED_BY = "latchkey:managed-by"
REQUEST = "latchkey:request"
ACCESS = "latchkey:access"
CONSENT = "latchkey:consent"
OURS = "latchkey"
