"""Rolls back a rotation: the former version becomes the current one again, and no version of the rotation is left pending."""

from __future__ import annotations

from latchkey.access.desired import desire
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.registry.journal import Entry
from latchkey.removal.token import read_again, restore_labels


def roll_back_rotation(rollback: Rollback, entry: Entry) -> None:
    """Restores the labels that the request found, and ends the phase that it began.

    After a failed confirmation, the version is pending again, so that it can be confirmed again or withdrawn.
    """
    plan, registry, clients = entry.wanted["plan"], rollback.registry, rollback.clients
    own = frozenset(version for version in (plan["version"], plan["second"]) if version)
    reverted = restore_labels(
        clients.secretsmanager, plan["secretArn"], own, entry.found, lambda text: rollback.note(entry, text)
    )
    for access_id in plan["updates"] if reverted or entry.undone else ():
        record, request = registry.accesses.get(access_id), registry.accesses.recorded_request(access_id)
        if record is not None and request is not None:
            read_again(desire(request, rollback.settings, record.tenant), record.key_arn, plan["secretArn"], clients)
    phase = registry.phases.get(rollback.access_id)
    if phase is not None and phase.request_id == rollback.desired.request.request_id:
        registry.phases.end(rollback.access_id, "rotating")
