"""Every grant on some keys, with the resource, the secret and the policy statements that it leads to."""

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
from latchkey.settings import Settings
from latchkey.systems import SYSTEMS

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
    """One grant and what it leads to; None where it leads to nothing."""

    grant: Grant
    classed: GrantClass
    reason: str
    access_id: str | None = None
    resource: ResourceEvidence | None = None
    secret: SecretEvidence | None = None


@dataclass(frozen=True)
class GrantMap:
    """Every grant on some keys, and for every system the secret that each of its resources is configured with.

    Nothing is known about `unreadable` keys and secrets.
    """

    rows: tuple[GrantRow, ...]
    resources: dict[str, dict[str, str | None]]
    unreadable: frozenset[str]


def read_grant_map(keys: Iterable[str], surveyor: Surveyor, settings: Settings) -> GrantMap:
    """Reads the grants by key, the resources by system, and each secret that a resource uses, all pages, once each."""
    found = surveyor.readable_grants(keys)
    resources = {name: dict(surveyor.secrets_by_resource(system)) for name, system in SYSTEMS.items() if system.granted}
    secrets: dict[str, Mapping[str, SecretEvidence]] = {}
    rows = tuple(_rows(found, resources, secrets, surveyor, settings))
    return GrantMap(rows, resources, found.unreadable | {arn for arn, evidence in secrets.items() if not evidence})


def _rows(
    found: KeyGrants,
    resources: dict[str, dict[str, str | None]],
    secrets: dict[str, Mapping[str, SecretEvidence]],
    surveyor: Surveyor,
    settings: Settings,
) -> Iterator[GrantRow]:
    """`secrets` collects what was read about each secret; the evidence of an unreadable one is empty."""
    place, grantees = settings.place, settings.accepted_grantees
    for grant in found.grants:
        named = [(system, system.granted[0].resource_of(place, grant.name)) for system in SYSTEMS.values() if system.granted]
        system, name = next(((system, name) for system, name in named if name), (None, None))
        if system is None or name is None:
            yield GrantRow(grant, _class_by_grantee(grant, place, grantees), "no supported service gives its grants this name")
            continue
        access_id, names = access_id_of(system, name), resources[system.name]
        resource = granted_resource(access_id, place, grantees)
        secret_arn = names.get(name)
        if secret_arn and secret_arn not in secrets:
            secrets[secret_arn] = surveyor.secrets(resource, secret_arn)
        secret = secrets.get(secret_arn or "", {})
        listing = f"in the list of {len(names)}" if name in names else f"not in the list of {len(names)}"
        now = ResourceEvidence(name in names, secret_arn, listing)
        assessment = assess(grant, resource, Evidence(found.at, now, secret, found.grants, found.unreadable), place)
        classed = _class_by_grantee(grant, place, grantees) if assessment.verdict == "foreign" else assessment.verdict
        yield GrantRow(grant, classed, assessment.reason, access_id, now, secret.get(secret_arn or ""))


def _class_by_grantee(grant: Grant, place: Place, grantees: tuple[str, ...]) -> GrantClass:
    kind = grantee_kind(grant, place, grantees)
    return "of another service" if kind == "of a service" else kind
