"""Schedules the deletion of a key that the request created, or removes the statements of the request from its policy."""

from __future__ import annotations

from latchkey.aws.keys import ObservedKey, find_key, find_key_by_tags, rotation_days
from latchkey.onboarding.rollback.policies import REMOVED
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.registry.journal import Entry
from latchkey.removal.key import schedule_key_deletion
from latchkey.removal.policies import remove_key_statements


def roll_back_key(rollback: Rollback, entry: Entry) -> str | None:
    """Deletes the key only if evidence shows that nothing uses it. Otherwise, the key stays, and the sweep tries again.

    If a recorded access now uses the key, the key belongs to that access: only the statements of this request are removed.
    """
    key = _find_created_key(rollback, entry)
    if key is None:
        return None
    if key.state != "PendingDeletion" and not rollback.desired.made(key.tags):
        return None  # only a person can have removed the tag, and then the key is theirs
    removal = rollback.removal(entry)
    users = schedule_key_deletion(removal, key)
    if not users:
        return None
    remove_key_statements(removal, key.arn, entry.wanted["statements"], REMOVED.format(arn=key.arn))
    return None if rollback.is_used_by_records(key.arn) else f"{key.arn} stays, because it is in use ({users})"


def _find_created_key(rollback: Rollback, entry: Entry) -> ObservedKey | None:
    """The key by its ARN or, if the response of CreateKey was lost, by its alias and the tag of the request, or by the tag."""
    kms, desired = rollback.clients.kms, rollback.desired
    if entry.result:
        return find_key(kms, entry.result["arn"])
    aliased = find_key(kms, desired.alias) if desired.alias else None
    if aliased is not None and desired.made(aliased.tags):
        return aliased
    return find_key_by_tags(kms, desired.made, entry.noted)


def roll_back_key_rotation(rollback: Rollback, entry: Entry) -> str | None:
    """Restores the rotation period, unless somebody has changed it since or the key is being deleted."""
    arn, wanted, former = entry.wanted["arn"], entry.wanted["days"], entry.found["days"]
    key = find_key(rollback.clients.kms, arn)
    if key is None or key.state != "Enabled" or rotation_days(rollback.clients.kms, arn) != wanted:
        return None
    rollback.note(entry, f"restored the rotation of {arn} every {former} days")
    rollback.clients.kms.enable_key_rotation(KeyId=arn, RotationPeriodInDays=former)
    return None
