"""What an access is called, what its record says, and the states it may be in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from latchkey.grants import Owner
from latchkey.settings import Place
from latchkey.systems import SYSTEMS
from latchkey.systems.readers import ServicePrincipal
from latchkey.systems.system import GrantedConfiguration, System

# active: every check passed. handed-off: all is made, and its owner has not confirmed the last step. unmanaged: an owner
# withdrew consent. revoked: its key, its secret or the policy that admits the service was taken away. detached: its resource
# reads another secret or none. gone: its resource does not exist.
Status = Literal["active", "handed-off", "unmanaged", "revoked", "detached", "gone"]


@dataclass(frozen=True)
class AccessRecord:
    """What the registry knows of one access; `version` rises by one with every write.

    `reached` is the status that the last request came to, whatever was observed since. `secretArn` is None without a secret,
    `resourceArn` where no resource is known.
    """

    access_id: str
    system: str
    status: str
    request_id: str
    key_arn: str
    secret_arn: str | None
    resource_arn: str | None
    reached: str = "active"
    version: int = 0


@dataclass(frozen=True)
class Subject:
    """The resource of an access, known by the access id alone: also of one that was never recorded."""

    system: System
    name: str
    owner: Owner
    reader: ServicePrincipal
    configuration: GrantedConfiguration


def access_id_of(system: System, name: str) -> str:
    """`<system>/<kind>/<name>`."""
    return f"{system.name}/{system.resource.kind}/{name}"


def has_grants(access_id: str) -> bool:
    """Does the service of an access make grants? Raises KeyError if the id is of no system that Latchkey knows."""
    return SYSTEMS[access_id.split("/", 1)[0]].granted is not None


def is_exclusive(access_ids: Iterable[str]) -> bool:
    """Does a key that serves these accesses belong to a partner's data, so that nobody touches it or its grants?"""
    systems = (SYSTEMS.get(access_id.split("/", 1)[0]) for access_id in access_ids)
    return any(system is not None and system.key_is_exclusive for system in systems)


def subject_of(access_id: str, place: Place) -> Subject:
    """Raises KeyError if the id, `<system>/<kind>/<name>`, is of no system whose service makes grants."""
    system_name, _, name = access_id.split("/", 2)
    system = SYSTEMS[system_name]
    if system.granted is None:
        raise KeyError(f"{system_name} makes no grants")
    reader, configuration = system.granted
    owner = Owner(reader.grant_name(place, name), configuration.arn_of(name, place))
    return Subject(system, name, owner, reader, configuration)
