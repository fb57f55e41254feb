"""Restores the former policies of the reader role, or deletes a role that the request created."""

from __future__ import annotations

from latchkey.aws.roles import ObservedRole, find_role
from latchkey.onboarding import reader_role
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.policies.reader_roles import ReaderRole
from latchkey.registry.journal import Entry
from latchkey.tags import ACCESS


def roll_back_role(rollback: Rollback, entry: Entry) -> str | None:
    """Restores or deletes the role, which belongs to this access only, unless a later request has changed it."""
    desired, iam = rollback.desired, rollback.clients.iam
    wanted = ReaderRole(entry.wanted["name"], entry.wanted["trust"], entry.wanted["policy"])
    role = find_role(iam, wanted.name)
    if role is None or role.tags.get(ACCESS) != desired.access_id or not _is_as_left(role, wanted, entry):
        return None
    if entry.found is None and not desired.made(role.tags):
        return None
    if entry.found is None:
        rollback.note(entry, f"deleted {role.arn}")
        reader_role.delete_role(wanted.name, iam)
        return None
    former = ReaderRole(wanted.name, entry.found["trust"], entry.found["policy"])
    if role.policy != former.policy and former.policy is not None:
        rollback.note(entry, f"restored the former policy of {role.arn}")
        reader_role.update_role(role, former, iam, desired.reader_boundary_arn)
    return None


def _is_as_left(role: ObservedRole, wanted: ReaderRole, entry: Entry) -> bool:
    """Whether the policy is the wanted one, or the former one that a crashed request did not replace."""
    before = entry.found["policy"] if entry.found else None
    return role.policy in (wanted.policy, before)
