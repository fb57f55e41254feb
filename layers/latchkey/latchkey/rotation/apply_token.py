"""Configures resources again whose services read a secret only when the resource is configured."""

from __future__ import annotations

from latchkey.access.desired import desire
from latchkey.aws.clients import Clients
from latchkey.errors import Conflict
from latchkey.registry import Registry
from latchkey.removal.token import read_again
from latchkey.rotation.plan import RotationStep
from latchkey.settings import Settings
from latchkey.wire import WireModel

__all__ = ["Applied", "RotationStep", "apply_token"]


class Applied(WireModel):
    """The accesses whose resource was configured again."""

    accesses: tuple[str, ...]


def apply_token(event: RotationStep, settings: Settings, registry: Registry, clients: Clients) -> Applied:
    """Sends the present settings of the resources again. The step is idempotent."""
    plan = event.plan
    registry.journal_of(event.execution_arn, plan.access_id, event.tenant)
    applied = []
    for access_id in plan.updates:
        record, request = registry.accesses.get(access_id), registry.accesses.recorded_request(access_id)
        if record is None or request is None or record.tenant != event.tenant:
            raise Conflict(f"{access_id} was changed after the request was checked")
        if read_again(desire(request, settings, record.tenant), record.key_arn, plan.secret_arn, clients):
            applied.append(access_id)
    return Applied(accesses=tuple(applied))
