"""The ID, the record and the status of an access."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from latchkey.systems import SYSTEMS
from latchkey.systems.system import System
from latchkey.tags import DEFAULT_TENANT

# active: every check passed. handed-off: the owner has not confirmed the last step yet. unmanaged: an owner withdrew consent.
# revoked: the service can no longer read, because the key, the secret or a policy changed. detached: the resource uses another
# secret or none. gone: the resource does not exist, or it uses another secret and this one or its reader role is deleted.
# offboarded: a request removed the access, and its resource no longer reads the secret.
Status = Literal["active", "handed-off", "unmanaged", "revoked", "detached", "gone", "offboarded"]


@dataclass(frozen=True)
class AccessRecord:
    """The record of one access in the registry. Every write increments `version`.

    `reached` is the status that the last request achieved; later observations change only `status`. `secret_arn` is None if the
    system reads no secret, `resource_arn` if the resource is not known.
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
    tenant: str = DEFAULT_TENANT

    @property
    def is_in_service(self) -> bool:
        """Whether the resource was configured or its configuration confirmed, and is neither deleted nor offboarded since."""
        return self.reached == "active" and self.status not in ("gone", "offboarded")


def access_id_of(system: System, name: str) -> str:
    """`<system>/<kind>/<name>`."""
    return f"{system.name}/{system.resource.kind}/{name}"


def has_grants(access_id: str) -> bool:
    """Whether the service of an access creates grants. Raises KeyError if the system is unknown."""
    return SYSTEMS[access_id.split("/", 1)[0]].granted is not None


def is_exclusive(access_ids: Iterable[str]) -> bool:
    """Whether a key with these accesses is used by a partner. Such a key and its grants are never changed automatically."""
    systems = (SYSTEMS.get(access_id.split("/", 1)[0]) for access_id in access_ids)
    return any(system is not None and system.key_is_exclusive for system in systems)
