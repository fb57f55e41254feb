"""Reschedules the deletion of the secret that the restoration of an access canceled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from latchkey.aws.secrets import find_secret
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.registry.journal import Entry
from latchkey.removal.secret import delete_unused_secret
from latchkey.tags import is_ours

# The bounds of a recovery window in days:
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
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


def _days_left(ends: str | None) -> int:
    left = (datetime.fromisoformat(ends) - datetime.now(UTC)).days if ends else _LONGEST
    return min(max(left, _SHORTEST), _LONGEST)
