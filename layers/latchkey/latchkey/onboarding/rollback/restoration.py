"""Reschedules the deletions that the restoration of an access canceled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from latchkey.aws.keys import ObservedKey, find_key
from latchkey.aws.secrets import find_secret
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.registry.journal import Entry
from latchkey.removal.evidence import read_key_evidence
from latchkey.removal.removal import OWN_ACCESS
from latchkey.removal.secret import delete_unused_secret
from latchkey.tags import is_ours

# The bounds of a recovery window in days, for secrets and for keys:
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
# https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html
_SHORTEST, _LONGEST = 7, 30


def roll_back_secret_restoration(rollback: Rollback, entry: Entry) -> str | None:
    """Deletes the secret with the rest of its recovery window, but at least the shortest one, unless an access uses it."""
    arn, desired, resources = entry.wanted["arn"], rollback.desired, rollback.registry.resources
    secret = find_secret(rollback.clients.secretsmanager, arn)
    if secret is None or secret.is_being_deleted:
        # An earlier attempt can have deleted it and crashed before the registry was updated.
        resources.forget_removed(desired.secret_resource)
        return None
    if not is_ours(secret.tags, desired.stack):
        return None
    days = _days_left(entry.wanted["ends"])
    users = delete_unused_secret(rollback.removal(entry), arn, lambda latest: is_ours(latest.tags, desired.stack), days)
    if users:
        return f"{arn} stays restored, because it is in use ({users})"
    if users == "":
        resources.forget(desired.secret_resource)
        rollback.registry.offboardings.reschedule(rollback.access_id, arn, datetime.now(UTC) + timedelta(days=days))
    return None


def roll_back_key_restoration(rollback: Rollback, entry: Entry) -> str | None:
    """Schedules the deletion of the key again, unless something other than the secret of this access uses it."""
    arn = entry.wanted["arn"]
    key, resources = find_key(rollback.clients.kms, arn), rollback.registry.resources
    if key is None or key.state == "PendingDeletion":
        resources.forget_removed(arn)
        return None
    if not is_ours(key.tags, rollback.desired.stack):
        return None
    if not resources.begin_removal(arn, rollback.access_id):
        users = ", ".join(sorted(resources.others(arn, rollback.access_id)))
        return f"{arn} stays enabled, because it is in use (accesses: {users})"
    try:
        reason = _schedule_again(rollback, entry, key)
    except Exception:
        resources.cancel_removal(arn)
        raise
    if reason is None:
        resources.forget(arn)
    else:
        resources.cancel_removal(arn)
    return reason


def _schedule_again(rollback: Rollback, entry: Entry, key: ObservedKey) -> str | None:
    """Schedules the deletion of a key to which no other access can begin to refer. Returns the reason if it stays."""
    arn, days = entry.wanted["arn"], entry.wanted["days"]
    if rollback.is_used_by_another_request(arn):
        return f"{arn} stays enabled, because it is in use ({OWN_ACCESS})"
    evidence = read_key_evidence(rollback.removal(entry), key)
    own = tuple(secret for secret in evidence.secrets if not rollback.desired.is_secret(secret))
    evidence = evidence.model_copy(update={"secrets": own, "aliases": ()})
    rollback.journal.note_evidence(entry.step, evidence.model_dump(mode="json", by_alias=True))
    if evidence.in_use:
        return f"{arn} stays enabled, because it is in use ({evidence.in_use})"
    rollback.note(entry, f"scheduled {arn} for deletion again, in {days} days")
    rollback.clients.kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=max(days, _SHORTEST))
    return None


def _days_left(ends: str | None) -> int:
    left = (datetime.fromisoformat(ends) - datetime.now(UTC)).days if ends else _LONGEST
    return min(max(left, _SHORTEST), _LONGEST)
