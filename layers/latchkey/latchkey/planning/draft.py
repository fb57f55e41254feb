"""The input and the result of a planner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latchkey.access.plan import Change, MissingPermission
from latchkey.access.tenants import Tenants
from latchkey.aws.clients import Clients
from latchkey.aws.planned import PlannedChanges
from latchkey.registry.planned import PlannedRegistry
from latchkey.settings import Settings
from latchkey.systems import SYSTEMS

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


_SHOWN = {system.configuration.service: system.configuration.shown for system in SYSTEMS.values() if system.configuration}


@dataclass(frozen=True)
class Roles:
    """The roles of functions that the other functions do not know. All but the first are in the order of PLANNED_ROLES."""

    create_secret: str
    apply_token: str
    clean_up_grants: str
    delete_secret: str
    detach_resource: str
    promote_token: str
    restore_access: str
    validate_access: str
    withdraw_token: str


@dataclass(frozen=True)
class World:
    """The inputs of a plan: the settings of the stack, a registry that keeps its changes to itself, and clients that read."""

    settings: Settings
    roles: Roles
    registry: PlannedRegistry
    clients: Clients
    secretsmanager_in: Callable[[str], SecretsManagerClient]
    tenants: Tenants

    def no_changes(self) -> PlannedChanges:
        """The changes of a plan that makes none yet."""
        return PlannedChanges(self.settings.place, self.clients, _SHOWN)


@dataclass(frozen=True)
class Draft:
    """A plan without its hash: the content of the request, what was read, and what would be done.

    `operations` are the planned calls as `service:Operation`. An operation that is called twice is listed twice.
    """

    content: object
    reads: Mapping[str, object]
    changes: tuple[Change, ...]
    operations: tuple[str, ...]
    missing: tuple[MissingPermission, ...] = ()
