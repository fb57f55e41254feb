"""Deletes a secret that no access uses."""

from __future__ import annotations

from collections.abc import Callable

from latchkey.aws.secrets import ObservedSecret, find_secret
from latchkey.removal.evidence import read_secret_evidence
from latchkey.removal.removal import OWN_ACCESS, Removal


def delete_unused_secret(
    removal: Removal, secret_arn: str, is_deletable: Callable[[ObservedSecret], bool], recovery_days: int | None
) -> str | None:
    """Deletes a secret if no other access refers to it. Without `recovery_days`, it cannot be restored.

    Returns what uses it, an empty text if it is deleted, or None if the last read shows that it must stay: `is_deletable`
    decides, such as by its tags. Until the caller forgets a deleted secret in the registry, no access can refer to it.
    """
    resources, resource = removal.registry.resources, removal.desired.secret_resource
    if not resources.begin_removal(resource, removal.access_id):
        return f"accesses: {', '.join(sorted(resources.others(resource, removal.access_id)))}"
    try:
        deleted = _delete(removal, secret_arn, is_deletable, recovery_days)
    except Exception:
        # If only the response was lost, the secret is being deleted, and the next attempt completes the removal.
        remaining = find_secret(removal.clients.secretsmanager, secret_arn)
        if remaining is not None and not remaining.is_being_deleted:
            resources.cancel_removal(resource)
        raise
    if deleted:
        return ""
    resources.cancel_removal(resource)
    return OWN_ACCESS if removal.is_used(resource) else None


def _delete(
    removal: Removal, secret_arn: str, is_deletable: Callable[[ObservedSecret], bool], recovery_days: int | None
) -> bool:
    """Deletes a secret to which no new access can refer. Returns whether it is deleted."""
    secretsmanager = removal.clients.secretsmanager
    if removal.is_used(removal.desired.secret_resource):
        return False
    removal.note_evidence(read_secret_evidence(removal, secret_arn))
    window = f" with a recovery window of {recovery_days} days" if recovery_days else ""
    removal.note(f"deleted {secret_arn}{window}")
    # No call between this read and the deletion: only a person can remove the tag, and then the secret is theirs.
    secret = find_secret(secretsmanager, secret_arn)
    if secret is not None and not secret.is_being_deleted:
        if not is_deletable(secret):
            return False
        if recovery_days:
            secretsmanager.delete_secret(SecretId=secret_arn, RecoveryWindowInDays=recovery_days)
        else:
            secretsmanager.delete_secret(SecretId=secret_arn, ForceDeleteWithoutRecovery=True)
    return True
