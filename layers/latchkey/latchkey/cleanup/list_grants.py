"""Lists the grants on keys with the resource that each one serves, for people and for later functions."""

from __future__ import annotations

from collections import Counter

from latchkey.cleanup.grant_map import GrantClass, GrantRow, read_grant_map
from latchkey.cleanup.survey import Surveyor
from latchkey.registry import Registry
from latchkey.settings import Settings
from latchkey.wire import WireModel

# Keeps the answer below the 6 MB of Lambda: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_LISTED = 1000
MOST_STATEMENTS = 10


class ListGrantsInput(WireModel):
    """The keys by ARN; if empty, every key on which the registry expects grants."""

    keys: tuple[str, ...]


class ListedGrant(WireModel):
    """A grant, the resource and secret it leads to, and the policy statements (by Sid) that allow the service."""

    grant_id: str
    key_arn: str
    name: str | None
    grantee: str | None
    classed: GrantClass
    reason: str
    access_id: str | None
    resource_exists: bool | None
    secret_arn: str | None
    secret_key_arn: str | None
    statements: tuple[str, ...]


class ListedGrants(WireModel):
    """The grants, those that need attention first, and the keys and secrets that could not be read.

    A key can have 50,000 grants, so at most MOST_LISTED are listed. `counts` are the numbers of all grants by class.
    """

    grants: tuple[ListedGrant, ...]
    counts: dict[str, int]
    unreadable: tuple[str, ...]


_NEEDS_ATTENTION: tuple[GrantClass, ...] = (
    "orphaned",
    "suspect",
    "of a deleted principal",
    "of another account",
    "of nobody known",
)


def list_grants(event: ListGrantsInput, registry: Registry, surveyor: Surveyor, settings: Settings) -> ListedGrants:
    """Reads the grants on the keys and everything they lead to."""
    grant_map = read_grant_map(event.keys or registry.grant_keys(), surveyor, settings)
    rows = sorted(grant_map.rows, key=lambda row: (row.classed not in _NEEDS_ATTENTION, row.classed, row.grant.name or ""))
    return ListedGrants(
        grants=tuple(_listed(row) for row in rows[:MOST_LISTED]),
        counts=dict(Counter(row.classed for row in rows)),
        unreadable=tuple(sorted(grant_map.unreadable)),
    )


def _listed(row: GrantRow) -> ListedGrant:
    grant, secret = row.grant, row.secret
    return ListedGrant(
        grantId=grant.grant_id,
        keyArn=grant.key_arn,
        name=grant.name,
        grantee=grant.grantee,
        classed=row.classed,
        reason=row.reason,
        accessId=row.access_id,
        resourceExists=row.resource.exists if row.resource else None,
        secretArn=grant.secret_arn or (row.resource.secret_arn if row.resource else None),
        secretKeyArn=secret.key_arn if secret else None,
        statements=secret.statements[:MOST_STATEMENTS] if secret else (),
    )
