"""Schedules the deletion of the key of an offboarded access after its secret no longer exists."""

from __future__ import annotations

from contextlib import suppress

from latchkey.access.offboarded import Offboarded
from latchkey.aws.clients import Clients
from latchkey.aws.keys import find_key
from latchkey.aws.secrets import find_secret
from latchkey.errors import LatchkeyError
from latchkey.events.cleanup import DeletedKey
from latchkey.events.outcomes import Evidence
from latchkey.offboarding.step_input import RecordedPart, recorded_parts
from latchkey.registry import Registry
from latchkey.removal.key import schedule_key_deletion
from latchkey.removal.removal import Removal
from latchkey.settings import Settings
from latchkey.tags import is_ours
from latchkey.wire import WireModel

__all__ = ["DeleteKeyInput", "DeletedKey", "delete_key"]


class DeleteKeyInput(WireModel):
    """An offboarded access, and the execution of the cleanup that deletes its key."""

    access_id: str
    execution_arn: str


def delete_key(event: DeleteKeyInput, settings: Settings, registry: Registry, clients: Clients) -> DeletedKey:
    """Schedules the deletion of the key if complete, fresh reads show that nothing uses it. If a read fails, the key stays.

    A crash between the deletion and its report leaves the key recorded as due, so that the next attempt reports it. Raises
    NotYetEffective while a request holds the lock of the access.
    """
    registry.locks.lock(event.access_id, event.execution_arn)
    try:
        offboarded = registry.offboardings.get(event.access_id)
        if offboarded is None or offboarded.key_arn is None:
            return DeletedKey()
        return _deleted(recorded_parts(event.access_id, settings, registry)[0], offboarded, settings, registry, clients)
    finally:
        # If the unlock fails, the next request takes the lock over when this execution has ended.
        with suppress(LatchkeyError):
            registry.locks.unlock(event.access_id, event.execution_arn)


def _deleted(
    part: RecordedPart, offboarded: Offboarded, settings: Settings, registry: Registry, clients: Clients
) -> DeletedKey:
    key_arn, days = offboarded.key_arn or "", offboarded.waiting_days
    result = DeletedKey(keyArn=key_arn, waitingDays=days)
    secret_arn = offboarded.secret_arn or part.record.secret_arn
    if secret_arn and find_secret(clients.secretsmanager, secret_arn) is not None:
        return result.model_copy(update={"users": f"secrets: {secret_arn}"})
    key = find_key(clients.kms, key_arn)
    if key is None:
        return result.model_copy(update={"state": "gone"})
    if not is_ours(key.tags, settings.stack):
        return result.model_copy(update={"state": "not managed"})
    evidence = list[Evidence]()
    removal = Removal(
        desired=part.desired,
        settings=settings,
        registry=registry,
        clients=clients,
        note=lambda _: None,
        note_evidence=evidence.append,
        kept=lambda _: (),
        is_used=lambda resource: registry.journal.uses(resource, part.record.access_id, without=""),
    )
    users = schedule_key_deletion(removal, key, days)
    state = {"state": "due", "users": users} if users else {"state": "scheduled"}
    return result.model_copy(update={**state, "evidence": tuple(evidence)})
