"""Deletes a secret that the request created, and reports what it changed in an existing one for good."""

from __future__ import annotations

from latchkey.aws.keys import find_key
from latchkey.aws.secrets import find_secret
from latchkey.onboarding.rollback.policies import REMOVED
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.registry.journal import Entry
from latchkey.removal.policies import remove_secret_statements
from latchkey.removal.removal import OWN_ACCESS
from latchkey.removal.secret import delete_unused_secret


def roll_back_secret(rollback: Rollback, entry: Entry) -> str | None:
    """Deletes the secret only if no access uses it. Otherwise, only the statements of this request are removed."""
    desired, registry = rollback.desired, rollback.registry
    resource = desired.secret_resource
    secret = find_secret(rollback.clients.secretsmanager, entry.wanted["name"])
    if secret is None or secret.is_being_deleted:
        # An earlier attempt can have deleted it and crashed before the registry was updated.
        registry.resources.forget_removed(resource)
        return None
    if not desired.made(secret.tags):
        return None
    removal = rollback.removal(entry)
    if not rollback.is_used_by_records(resource):
        users = delete_unused_secret(removal, secret.arn, lambda latest: desired.made(latest.tags), None)
        if users == "":
            registry.resources.forget(resource)
            return None
        if users in (None, OWN_ACCESS):
            return f"{secret.arn} stays, because it is in use ({users})" if users else None
    remove_secret_statements(removal, secret.arn, desired.secret_statements(secret.arn), REMOVED.format(arn=secret.arn))
    if rollback.is_used_by_records(resource):
        return None
    users = ", ".join(sorted(registry.resources.others(resource, desired.access_id)))
    return f"{secret.arn} stays, because it is in use (accesses: {users})"


def roll_back_secret_version(rollback: Rollback, entry: Entry) -> str | None:
    """A new value stays: only the function that creates secrets can write values."""
    arn, version = entry.wanted["arn"], entry.wanted["version"]
    secret = find_secret(rollback.clients.secretsmanager, arn)
    if secret is None or "AWSCURRENT" not in secret.stages.get(version, ()):
        return None
    return f"{arn} keeps the value of this request as its current version {version}: the former value has the label AWSPREVIOUS"


def roll_back_secret_key(rollback: Rollback, entry: Entry) -> str | None:
    """Moves the secret of a recorded access back to its former key, and leaves any other one under the new key.

    The policy of the former key admits the readers of a recorded access, and its versions can still be decrypted with that key.
    For any other secret, nothing shows that, and its present readers could lose it.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_update-encryption-key.html
    """
    secretsmanager = rollback.clients.secretsmanager
    arn, key, before = entry.wanted["arn"], entry.wanted["key"], entry.found["key"]
    secret = find_secret(secretsmanager, arn)
    if secret is None or secret.is_being_deleted or secret.kms_key_id != key or rollback.is_used_by_records(key):
        return None
    former = find_key(rollback.clients.kms, before) if before else None
    if former is not None and former.state == "Enabled" and rollback.is_recorded(former.arn):
        rollback.note(entry, f"moved {arn} back to {before}")
        secretsmanager.update_secret(SecretId=arn, KmsKeyId=before)
        return None
    return f"{arn} stays encrypted with {key}: before this request, it was encrypted with {before or 'the default key'}"
