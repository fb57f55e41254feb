"""Rolls back a failed request: removes what it created and nothing else uses, and restores what it changed."""

from __future__ import annotations

from latchkey.access.desired import desire
from latchkey.aws.clients import Clients
from latchkey.aws.secrets import find_secret
from latchkey.errors import Conflict
from latchkey.onboarding.rollback.key import find_key_to_roll_back, roll_back_key, roll_back_partner_key
from latchkey.onboarding.rollback.resource import roll_back_resource
from latchkey.onboarding.rollback.role import roll_back_role
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.onboarding.rollback.secret import roll_back_secret
from latchkey.registry import Registry
from latchkey.requests.parsing import AnyOnboarding
from latchkey.settings import Settings
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel


class UndoOnboardingInput(WireModel):
    """The failed request, or None if it was invalid, and its execution; `confirms` means that it confirmed a handoff."""

    request: AnyOnboarding | None
    tenant: str = DEFAULT_TENANT
    execution_arn: str
    confirms: bool = False


class Undone(WireModel):
    """The steps of the rollback, in words."""

    undone: tuple[str, ...]


def undo_onboarding(
    event: UndoOnboardingInput,
    settings: Settings,
    registry: Registry,
    clients: Clients,
) -> Undone:
    """Rolls back the resource first, then the role, the secret and the key, and returns the steps. Grants are left to clean-up.

    A request that never locked its access changed nothing, and what is noted there belongs to another request. An unfinished
    rollback is resumed, unless another request has the access by now. A second run changes nothing, and after a crash between
    any two calls a retry completes the rollback. Raises Conflict if something must stay for a person to decide.
    """
    if event.request is None:
        return Undone(undone=())
    desired = desire(event.request, settings, event.tenant)
    access_id, execution_arn = desired.access_id, event.execution_arn
    if not registry.locks.holds_lock(access_id, execution_arn) and not registry.locks.resume_undo(access_id, execution_arn):
        return Undone(undone=())
    recorded = registry.accesses.get(access_id)
    is_recorded = recorded is not None and recorded.request_id == desired.request.request_id
    if desired.system.key_is_exclusive and is_recorded and not event.confirms:
        # Before the record is restored: without it, a retry would take the key for one that no partner has.
        raise Conflict(f"{access_id} is recorded, and a partner can use its key: remove the access by hand if it is not wanted")
    registry.accesses.restore(access_id, desired.request.request_id)
    if event.confirms:
        # A confirmation changed nothing but the record.
        return Undone(undone=())
    record, recorded_request = registry.accesses.get(access_id), registry.accesses.recorded_request(access_id)
    rollback = Rollback(desired, record, recorded_request, settings, registry, clients)
    key = find_key_to_roll_back(rollback)
    roll_back_resource(rollback)
    if desired.reads_secret:
        secret = find_secret(clients.secretsmanager, desired.existing_secret_arn or desired.secret_name)
        roll_back_role(rollback, key, secret)
        roll_back_secret(rollback, secret)
    if key is not None and desired.system.key_is_exclusive and recorded is not None:
        roll_back_partner_key(rollback, key)
    elif key is not None:
        roll_back_key(rollback, key)
    return Undone(undone=registry.journal.undone(access_id))
