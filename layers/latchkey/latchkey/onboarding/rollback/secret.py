"""Deletes a secret that the request created, and reports what it changed in an existing one for good."""

from __future__ import annotations

from latchkey.aws.secrets import find_secret
from latchkey.onboarding.rollback.evidence import read_secret_evidence
from latchkey.onboarding.rollback.policies import remove_secret_statements
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.registry.journal import Entry


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
    if rollback.is_used_by_records(resource) or not registry.resources.begin_removal(resource, desired.access_id):
        remove_secret_statements(rollback, entry, secret.arn, desired.secret_statements(secret.arn))
        if rollback.is_used_by_records(resource):
            return None
        users = sorted(registry.resources.others(resource, desired.access_id))
        return f"{secret.arn} stays, because it is in use (accesses: {', '.join(users)})"
    try:
        deleted = _delete_unused_secret(rollback, secret.arn, entry)
    except Exception:
        # If only the response was lost, the secret does not exist, and the next attempt completes the rollback.
        remaining = find_secret(rollback.clients.secretsmanager, secret.arn)
        if remaining is not None and not remaining.is_being_deleted:
            registry.resources.cancel_removal(resource)
        raise
    if deleted:
        registry.resources.forget(resource)
        return None
    registry.resources.cancel_removal(resource)
    in_use = rollback.is_used_by_own_access(resource)
    return f"{secret.arn} stays, because it is in use (another request of this access)" if in_use else None


def _delete_unused_secret(rollback: Rollback, secret_arn: str, entry: Entry) -> bool:
    """Deletes a secret to which no new access can refer, unless a request of this access uses it or it is no longer ours."""
    if rollback.is_used_by_own_access(rollback.desired.secret_resource):
        return False
    evidence = read_secret_evidence(rollback, secret_arn)
    rollback.journal.note_evidence(entry.step, evidence.model_dump(mode="json", by_alias=True))
    rollback.note(entry, f"deleted {secret_arn}")
    # No call between this read and the deletion: only a person can remove the tag, and then the secret is theirs.
    secret = find_secret(rollback.clients.secretsmanager, secret_arn)
    if secret is not None and not secret.is_being_deleted:
        if not rollback.desired.made(secret.tags):
            return False
        # No recovery window: nothing has used the secret yet, and its name must be available for the next request.
        rollback.clients.secretsmanager.delete_secret(SecretId=secret_arn, ForceDeleteWithoutRecovery=True)
    return True


def roll_back_secret_version(rollback: Rollback, entry: Entry) -> str | None:
    """A new value stays: only the function that creates secrets can write values."""
    arn, version = entry.wanted["arn"], entry.wanted["version"]
    secret = find_secret(rollback.clients.secretsmanager, arn)
    if secret is None or "AWSCURRENT" not in secret.stages.get(version, ()):
        return None
    return f"{arn} keeps the value of this request as its current version {version}: the former value has the label AWSPREVIOUS"


def roll_back_secret_key(rollback: Rollback, entry: Entry) -> str | None:
    """A secret that moved to another key stays there: moving it back could make it unreadable for its present readers."""
    arn, key = entry.wanted["arn"], entry.wanted["key"]
    secret = find_secret(rollback.clients.secretsmanager, arn)
    if secret is None or secret.kms_key_id != key or rollback.is_used_by_records(key):
        return None
    former = entry.found["key"] or "the default key"
    return f"{arn} stays encrypted with {key}: before this request, it was encrypted with {former}"
