"""What an access is called, what its record says, and the states it may be in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from latchkey.grants import Owner
from latchkey.settings import Place
from latchkey.systems import SYSTEMS
from latchkey.systems.system import System

# active: every check passed. unmanaged: an owner withdrew consent. revoked: its key, its secret or the policy that admits the
# service was taken away. detached: its resource reads another secret or none. gone: its resource does not exist.
Status = Literal["active", "unmanaged", "revoked", "detached", "gone"]


@dataclass(frozen=True)
class AccessRecord:
    """What the registry knows of one access; `version` rises by one with every write."""

    access_id: str
    system: str
    status: str
    request_id: str
    key_arn: str
    secret_arn: str
    resource_arn: str
    version: int = 0


@dataclass(frozen=True)
class Subject:
    """The resource of an access, known by the access id alone: also of one that was never recorded."""

    system: System
    name: str
    owner: Owner


def access_id_of(system: System, name: str) -> str:
    """`<system>/<kind>/<name>`."""
    return f"{system.name}/{system.resource.kind}/{name}"


def subject_of(access_id: str, place: Place) -> Subject:
    """Raises KeyError if the id, `<system>/<kind>/<name>`, is of no system that Latchkey knows."""
    system_name, _, name = access_id.split("/", 2)
    system = SYSTEMS[system_name]
    return Subject(system, name, Owner(system.reader.grant_name(place, name), system.resource.arn_of(name, place)))
