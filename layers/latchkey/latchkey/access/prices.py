"""What resources cost each month, in US cents. Prices of the commercial Regions, without tax, read on 2026-11-27.

A key costs 1 USD, and the same again after each of its first two rotations. A secret costs 0.40 USD; one that is scheduled for
deletion costs nothing, and so does a key. What requests cost is not part of this: 0.03 USD for 10,000 requests to KMS after the
first 20,000 of a month, and 0.05 USD for 10,000 calls of Secrets Manager.
https://aws.amazon.com/kms/pricing/
https://aws.amazon.com/secrets-manager/pricing/
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Aliases, policies, grants, roles and source locations cost nothing.
CENTS_PER_MONTH: Mapping[str, int] = MappingProxyType({"key": 100, "secret": 40})


def monthly_cost(kinds: list[str]) -> float:
    """What resources of these kinds cost together, in USD per month."""
    return sum(CENTS_PER_MONTH.get(kind, 0) for kind in kinds) / 100
