"""What an access is called, what its record says, and the states it may be in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from latchkey.systems import SYSTEMS
from latchkey.systems.system import System

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
