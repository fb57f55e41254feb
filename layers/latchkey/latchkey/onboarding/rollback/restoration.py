"""Reschedules the deletions that the restoration of an access canceled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from latchkey.aws.keys import find_key
from latchkey.aws.secrets import find_secret
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.registry.journal import Entry
from latchkey.removal.evidence import read_key_evidence
from latchkey.tags import is_ours

# The bounds of a recovery window in days, for secrets and for keys:
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
# https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html
_SHORTEST, _LONGEST = 7, 30


def roll_back_secret_restoration(rollback: Rollback, entry: Entry) -> str | None:
    """Deletes the secret with the rest of its recovery window, but at least the shortest one, unless an access uses it."""
    arn, desired, resources = entry.wanted["arn"], rollback.desired, rollback.registry.resources
    secret = find_secret(rollback.clients.secretsmanager, arn)
    if secret is None or secret.is_being_deleted or not is_ours(secret.tags, desired.stack):
        return None
    users = sorted(resources.others(desired.secret_resource, rollback.access_id))
    if users or rollback.is_used_by_another_request(desired.secret_resource):
        return f"{arn} stays restored, because it is in use (accesses: {', '.join(users) or rollback.access_id})"
    days = _days_left(entry.wanted["ends"])
    rollback.note(entry, f"scheduled {arn} for deletion again, in {days} days")
    rollback.clients.secretsmanager.delete_secret(SecretId=arn, RecoveryWindowInDays=days)
    rollback.registry.offboardings.reschedule(rollback.access_id, arn, datetime.now(UTC) + timedelta(days=days))
    return None


def roll_back_key_restoration(rollback: Rollback, entry: Entry) -> str | None:
    """Schedules the deletion of the key again, unless something other than the secret of this access uses it."""
    arn, days = entry.wanted["arn"], entry.wanted["days"]
    key = find_key(rollback.clients.kms, arn)
    if key is None or key.state == "PendingDeletion" or not is_ours(key.tags, rollback.desired.stack):
        return None
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
