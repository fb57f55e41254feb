"""The input and the result of a planner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latchkey.access.plan import Change, MissingPermission
from latchkey.access.tenants import Tenants
from latchkey.aws.clients import Clients
from latchkey.registry.planned import PlannedRegistry
from latchkey.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


@dataclass(frozen=True)
class World:
    """The inputs of a plan: the settings of the stack, the registry without writes, and clients that read.

    `storing_role` is the role of create_secret, which only this function knows besides check_request.
    """

    settings: Settings
    storing_role: str
    registry: PlannedRegistry
    clients: Clients
    secretsmanager_in: Callable[[str], SecretsManagerClient]
    tenants: Tenants


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
