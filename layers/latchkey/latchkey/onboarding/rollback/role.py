"""Restores the former policies of the reader role, or deletes a role that the request created."""

from __future__ import annotations

from latchkey.aws.roles import ObservedRole, find_role
from latchkey.onboarding import reader_role
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.policies import is_same
from latchkey.policies.reader_roles import ReaderRole
from latchkey.registry.journal import Entry
from latchkey.removal.role import delete_role
from latchkey.tags import ACCESS


def roll_back_role(rollback: Rollback, entry: Entry) -> str | None:
    """Restores or deletes the role, which belongs to this access only, unless a later request uses or has changed it."""
    desired, iam = rollback.desired, rollback.clients.iam
    role = _find_own_role(rollback, entry)
    if role is None or _is_recorded(rollback, role):
        return None
    if rollback.is_used_by_another_request(role.arn):
        return f"{role.arn} stays, because it is in use (another request of this access)"
    if not _is_as_left(role, entry):
        return None
    former = None if entry.found is None else ReaderRole(entry.wanted["name"], entry.found["trust"], entry.found["policy"])
    if former is not None and (former.policy is None or is_same(former.policy, role.policy)):
        return None
    rollback.note(entry, f"deleted {role.arn}" if former is None else f"restored the former policy of {role.arn}")
    # No call between the last read and the write: a person can change or tag the role at any time.
    role = _find_own_role(rollback, entry)
    if role is None or not _is_as_left(role, entry):
        return None
    if former is None:
        delete_role(entry.wanted["name"], iam)
    else:
        reader_role.update_role(role, former, iam, desired.reader_boundary_arn)
    return None


def _find_own_role(rollback: Rollback, entry: Entry) -> ObservedRole | None:
    """The role, if it has the tag of this access and, if this request created it, also the tag of this request."""
    desired, role = rollback.desired, find_role(rollback.clients.iam, entry.wanted["name"])
    if role is None or role.tags.get(ACCESS) != desired.access_id:
        return None
    return role if entry.found is not None or desired.made(role.tags) else None


def _is_recorded(rollback: Rollback, role: ObservedRole) -> bool:
    """Whether the record of the access, or its hand-off, names the role with its present policy."""
    for one in rollback.recorded():
        wanted = one.desired.role(one.record.key_arn, one.record.secret_arn) if one.desired and one.record.secret_arn else None
        if wanted is not None and wanted.arn(rollback.desired.place) == role.arn and is_same(wanted.policy, role.policy):
            return True
    return False


def _is_as_left(role: ObservedRole, entry: Entry) -> bool:
    """Whether the policy is the wanted one, or the former one that a crashed request did not replace."""
    before = entry.found["policy"] if entry.found else None
    return any(is_same(role.policy, document) for document in (entry.wanted["policy"], before))
