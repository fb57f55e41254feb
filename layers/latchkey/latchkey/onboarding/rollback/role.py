"""Restores the former policy of the reader role, or deletes a role that the request created."""

from __future__ import annotations

from latchkey.aws.keys import ObservedKey
from latchkey.aws.roles import find_role
from latchkey.aws.secrets import ObservedSecret
from latchkey.onboarding import reader_role
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.tags import ACCESS


def roll_back_role(rollback: Rollback, key: ObservedKey | None, secret: ObservedSecret | None) -> None:
    """The role belongs to this access only, so no other access has to be considered."""
    desired, record, before = rollback.desired, rollback.record, rollback.formerly_desired
    wanted = desired.role(key.arn if key else "", secret.arn if secret else "")
    role = find_role(rollback.clients.iam, wanted.name) if wanted else None
    if wanted is None or role is None or role.tags.get(ACCESS) != desired.access_id:
        return
    if record is not None and record.secret_arn and before is not None:
        former = before.role(record.key_arn, record.secret_arn)
        if former and former.policy != wanted.policy == role.policy:
            rollback.note(f"restored the former policy of {role.arn}")
            reader_role.update_role(role, former, rollback.clients.iam, desired.reader_boundary_arn)
    elif desired.made(role.tags):
        rollback.note(f"deleted {role.arn}")
        reader_role.delete_role(wanted.name, rollback.clients.iam)
        rollback.registry.resources.forget(role.arn)
