"""Restores the record that the request replaced."""

from __future__ import annotations

from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.registry.journal import Entry


def roll_back_record(rollback: Rollback, entry: Entry) -> str | None:
    """Restores the former record. A record that a later request wrote stays, and so does the record of a partner's key.

    Without that record, a later request would treat the key as one that no partner uses.
    """
    desired, access_id = rollback.desired, rollback.access_id
    is_own = rollback.registry.accesses.recorded_by(access_id, desired.request.request_id) is not None
    if is_own and desired.system.key_is_exclusive and not entry.wanted["confirms"]:
        return f"{access_id} is recorded, and a partner can use its key: remove the access by hand if it is not wanted"
    rollback.registry.accesses.restore(access_id, desired.request.request_id, entry.found)
    return None
