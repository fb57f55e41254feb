"""Whose every grant is: from the grant to its source location, its secret, its key and the statements that admit it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from latchkey.access.grants import granted_resource
from latchkey.access.record import access_id_of
from latchkey.aws.grants import Grant
from latchkey.cleanup.survey import KeyGrants, Surveyor
from latchkey.cleanup.verdict import Evidence, ResourceEvidence, SecretEvidence, assess, grantee_kind
from latchkey.place import Place
from latchkey.systems import SYSTEMS
from latchkey.wire import WireModel

GrantClass = Literal[
    "in use",
    "orphaned",
    "suspect",
    "of another service",
    "of a person",
    "of another account",
    "of a deleted principal",
    "of nobody known",
]


@dataclass(frozen=True)
class GrantRow:
    """One grant and what it leads to; what is None it does not lead to."""

    grant: Grant
    classed: GrantClass
    reason: str
    access_id: str | None = None
    owner: ResourceEvidence | None = None
    secret: SecretEvidence | None = None


@dataclass(frozen=True)
class GrantMap:
    """Every grant of some keys, each with its owner, and every resource of every system with the secret it names.

    Nothing is known of the `unreadable` keys and secrets.
    """

    grants: tuple[GrantRow, ...]
    listed: dict[str, dict[str, str | None]]
    unreadable: frozenset[str]


def read_grant_map(keys: Iterable[str], looking: Surveyor, place: Place) -> GrantMap:
    """Reads everything once, pages to their end: grants by key, resources by system, each secret that a resource names."""
    found = looking.readable_grants(keys)
    listed = {name: dict(looking.listed(system)) for name, system in SYSTEMS.items() if system.granted}
    secrets: dict[str, Mapping[str, SecretEvidence]] = {}
    owned = tuple(_rows(found, listed, secrets, looking, place))
    return GrantMap(owned, listed, found.unreadable | {arn for arn, seen in secrets.items() if not seen})


def _rows(
    found: KeyGrants,
    listed: dict[str, dict[str, str | None]],
    secrets: dict[str, Mapping[str, SecretEvidence]],
    looking: Surveyor,
    place: Place,
) -> Iterator[GrantRow]:
    """`secrets` is what was seen of each, which is filled: nothing of one that is unreadable."""
    for grant in found.grants:
        named = [(system, system.granted[0].resource_of(place, grant.name)) for system in SYSTEMS.values() if system.granted]
        system, name = next(((system, name) for system, name in named if name), (None, None))
        if system is None or name is None:
            yield GrantRow(grant, _by_grantee(grant, place), "no service that Latchkey knows names its grants so")
            continue
        access_id = access_id_of(system, name)
        subject, names = granted_resource(access_id, place), listed[system.name]
        secret_arn = names.get(name)
        if secret_arn and secret_arn not in secrets:
            secrets[secret_arn] = looking.secrets(subject, secret_arn)
        seen = secrets.get(secret_arn or "", {})
        owner = ResourceEvidence(name in names, secret_arn, f"listed among {len(names)}" if name in names else "not listed")
        finding = assess(grant, subject.owner, Evidence(found.at, owner, seen, found.grants, found.unreadable), place)
        classed = _by_grantee(grant, place) if finding.verdict == "foreign" else finding.verdict
        yield GrantRow(grant, classed, finding.reason, access_id, owner, seen.get(secret_arn or ""))


def _by_grantee(grant: Grant, place: Place) -> GrantClass:
    kind = grantee_kind(grant, place)
    return "of another service" if kind == "of a service" else kind


class ListedGrant(WireModel):
    """One row of the view: a grant, whose it is, and the way from it to the statements that admit the service."""

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
    """The grants of some keys, the most worrying first, and the keys and secrets that could not be read."""

    grants: tuple[ListedGrant, ...]
    unreadable: tuple[str, ...]


_WORRYING: tuple[GrantClass, ...] = ("orphaned", "suspect", "of a deleted principal", "of another account", "of nobody known")


def list_grants(keys: Iterable[str], looking: Surveyor, place: Place) -> ListedGrants:
    """The view that a person reads; changes nothing."""
    ownership = read_grant_map(keys, looking, place)
    rows = [_listed(owned) for owned in ownership.grants]
    rows.sort(key=lambda row: (row.classed not in _WORRYING, row.classed, row.name or ""))
    return ListedGrants(grants=tuple(rows), unreadable=tuple(sorted(ownership.unreadable)))


def _listed(owned: GrantRow) -> ListedGrant:
    grant, secret = owned.grant, owned.secret
    return ListedGrant(
        grantId=grant.grant_id,
        keyArn=grant.key_arn,
        name=grant.name,
        grantee=grant.grantee,
        classed=owned.classed,
        reason=owned.reason,
        accessId=owned.access_id,
        resourceExists=owned.owner.exists if owned.owner else None,
        secretArn=grant.secret_arn or (owned.owner.secret_arn if owned.owner else None),
        secretKeyArn=secret.key_arn if secret else None,
        statements=secret.statements if secret else (),
    )
