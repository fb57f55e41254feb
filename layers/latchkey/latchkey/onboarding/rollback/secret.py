"""Deletes a secret that the request created, or removes the statements of the request from its policy."""

from __future__ import annotations

from latchkey.aws.secrets import ObservedSecret
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.onboarding.shared_policies import policy_of_secret, remove_from


def roll_back_secret(rollback: Rollback, secret: ObservedSecret | None) -> None:
    """Deletes the secret only if no access uses it; otherwise the statements that are still needed stay in its policy."""
    desired, record, resources = rollback.desired, rollback.record, rollback.registry.resources
    if secret is None or secret.is_being_deleted:
        # An earlier attempt can have deleted it and crashed before the registry was updated.
        resources.forget_removed(desired.secret_resource)
        if record is None:
            resources.release(desired.secret_resource, desired.access_id)
        return
    in_use = record is not None and record.secret_arn == secret.arn
    created = desired.made(secret.tags) and not desired.existing_secret_arn
    if created and not in_use and resources.begin_removal(desired.secret_resource, desired.access_id):
        # Nothing has used the secret yet, and its name must be free for the next request, so there is no recovery window.
        rollback.note(f"deleted {secret.arn}")
        rollback.clients.secretsmanager.delete_secret(SecretId=secret.arn, ForceDeleteWithoutRecovery=True)
        resources.forget(desired.secret_resource)
        return
    remaining = rollback.remaining_accesses(desired.secret_resource, in_use=in_use)
    remove_from(
        policy_of_secret(secret.arn, rollback.clients.secretsmanager),
        desired.secret_statements(secret.arn),
        [access.secret_statements(secret.arn) for access in remaining],
        rollback.registry,
        lambda: rollback.note(f"removed the statements of this request from the policy of {secret.arn}"),
    )
    if not in_use:
        resources.release(desired.secret_resource, desired.access_id)
