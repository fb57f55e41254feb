"""Merging our statements into policies that several accesses share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from latchkey import policies
from latchkey.access.desired import Desired, desire
from latchkey.errors import TransientAwsError
from latchkey.onboarding.rules import bounds
from latchkey.registry import Registry
from latchkey.settings import Settings


def merge_into(
    name: str,
    statements: Sequence[policies.Statement],
    others: Callable[[], Iterable[Iterable[policies.Statement]]],
    registry: Registry,
    read: Callable[[], policies.Document | None],
    write: Callable[[str], Any],
) -> bool:
    """Read, merge, write, read back under a lease; people do not take leases, hence the look afterwards.

    What the other accesses want goes along, since the policy that is read may be older than the last one written.
    """
    if not policies.missing_from(read(), statements):
        return False
    with registry.lease(name):
        wanted = policies.union([*others(), statements])
        # Nothing between these two: what somebody writes there is overwritten unseen, since no write here is conditional.
        write(json.dumps(policies.merge(read(), wanted)))
        lost = policies.missing_from(read(), statements)
        if lost:
            raise TransientAwsError(f"the {name} was written by somebody else meanwhile; missing: {', '.join(lost)}")
    return True


def _others(desired: Desired, resource: str, registry: Registry, settings: Settings) -> Iterator[tuple[Desired, str | None]]:
    """What the other accesses of a key or secret want, each with the key that it has; it may be for another by now.

    Whom the stack trusts no longer nobody brings back.
    """
    for want in registry.requests_using(resource, without=desired.access_id):
        other = desire(want.request, settings)
        if not any(bounds.principal_rule(arn, settings) for arns in other.request.principals.values() for arn in arns):
            yield other, want.key_arn


def key_statements_of_others(
    desired: Desired, key_arn: str, registry: Registry, settings: Settings
) -> Iterator[Sequence[policies.Statement]]:
    """What the other accesses want of the key."""
    for other, has in _others(desired, key_arn, registry, settings):
        if key_arn == has or (has is None and _is_on_its_way(desired, other, key_arn, registry)):
            yield other.key_statements


def _is_on_its_way(desired: Desired, other: Desired, key_arn: str, registry: Registry) -> bool:
    """Will the other request have the key of this one? By an alias of its own that a person made it is not known."""
    if other.alias is None:
        return other.request.key.arn == key_arn
    if other.alias == desired.alias:
        return True
    noted = registry.resources.noted_key(other.alias)
    return noted is not None and noted.arn == key_arn


def secret_statements_of_others(
    desired: Desired, secret_arn: str, registry: Registry, settings: Settings
) -> Iterator[Sequence[policies.Statement]]:
    """What the other accesses want of the secret."""
    for other, _ in _others(desired, desired.secret_resource, registry, settings):
        if other.secret_resource == desired.secret_resource:
            yield other.secret_statements(secret_arn)
