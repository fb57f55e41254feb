"""Removes the references of the request to keys, secrets and roles."""

from __future__ import annotations

from latchkey.aws.secrets import find_secret
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.registry.journal import SECRET_KEY, Entry


def roll_back_reference(rollback: Rollback, entry: Entry) -> str | None:
    """A reference stays if another request of the access uses the resource, or while a moved secret is under the key.

    With the reference, the sweep still reads the key, and other rollbacks do not delete it.
    """
    resource, resources = entry.wanted["resource"], rollback.registry.resources
    if rollback.is_used_by_own_access(resource):
        return None
    moved = rollback.journal.entry(SECRET_KEY)
    if moved is not None and moved.wanted["key"] == resource:
        secret = find_secret(rollback.clients.secretsmanager, moved.wanted["arn"])
        if secret is not None and secret.kms_key_id == resource:
            return f"{resource} stays, because it encrypts {secret.arn}: move the secret to another key if this is not wanted"
    resources.release(resource, rollback.access_id)
    return None
