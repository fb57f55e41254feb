"""Removes our statements that no other access needs from the policies of key and secret, and deletes the reader role."""

from __future__ import annotations

from latchkey.access.desired import Desired
from latchkey.aws.clients import Clients
from latchkey.aws.keys import find_key
from latchkey.aws.roles import find_role
from latchkey.aws.secrets import find_secret
from latchkey.offboarding.read_evidence import was_created_here
from latchkey.offboarding.removal import removal_of, require_detached
from latchkey.offboarding.step_input import Offboarding, OffboardingStep, RecordedPart
from latchkey.registry import Registry
from latchkey.registry.journal import REMOVAL, RequestJournal
from latchkey.removal.policies import remove_key_statements, remove_secret_statements
from latchkey.removal.removal import Removal
from latchkey.removal.role import delete_role
from latchkey.settings import Settings
from latchkey.tags import ACCESS, is_ours, is_ours_or_consented
from latchkey.wire import WireModel

__all__ = ["OffboardingStep", "PoliciesRemoved", "remove_policies"]


class PoliciesRemoved(WireModel):
    """The steps that were carried out, and what stays with the reason, as text."""

    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def remove_policies(event: OffboardingStep, settings: Settings, registry: Registry, clients: Clients) -> PoliciesRemoved:
    """Removes the statements of the access and of its unconfirmed hand-off, and their reader roles.

    From now on, other requests do not write the statements of this access again. A secret that is about to be deleted keeps its
    policy, so that its restoration restores the policy, too. Policies whose owner has withdrawn consent stay.
    """
    offboarding = Offboarding(event, settings, registry, clients)
    offboarding.journal.note_removal(REMOVAL)
    left = list[str]()
    for part in offboarding.parts:
        require_detached(part, registry, clients)
    registry.offboardings.note_detached(offboarding.access_id)
    for part in offboarding.parts:
        removal = removal_of(offboarding, part, REMOVAL)
        left += [
            *_of_key(removal, part, is_kept=part.record.key_arn != offboarding.parts[0].record.key_arn),
            *_of_secret(removal, part),
            *_of_role(removal, part, registry),
        ]
    return _left(offboarding.journal, left)


def _left(journal: RequestJournal, left: list[str]) -> PoliciesRemoved:
    if left:
        journal.leave(REMOVAL, "; ".join(left))
    else:
        journal.leave_nothing(REMOVAL)
    entry = journal.entry(REMOVAL)
    return PoliciesRemoved(removed=entry.undone if entry else (), left=tuple(left))


def _of_key(removal: Removal, part: RecordedPart, *, is_kept: bool) -> list[str]:
    """`is_kept`: only a hand-off used the key. The registry keeps no date for its deletion, so the outcome names it."""
    key = find_key(removal.clients.kms, part.record.key_arn)
    if key is None or key.state == "PendingDeletion":
        return []
    if not is_ours_or_consented(key.tags, part.desired.stack):
        return [_withdrawn(key.arn)]
    noted = f"removed the statements of this access from the policy of {key.arn}"
    remove_key_statements(removal, key.arn, part.desired.known_key_statements, noted)
    if is_kept and part.desired.request.key.allow_deletion and is_ours(key.tags, part.desired.stack):
        return [f"{key.arn} stays, because only an unconfirmed hand-off used it: delete it by hand after its secret is gone"]
    return []


def _of_secret(removal: Removal, part: RecordedPart) -> list[str]:
    registry, desired = removal.registry, part.desired
    secret = find_secret(removal.clients.secretsmanager, part.record.secret_arn) if part.record.secret_arn else None
    if secret is None or secret.is_being_deleted:
        return []
    if not is_ours_or_consented(secret.tags, desired.stack):
        return [_withdrawn(secret.arn)]
    is_shared = bool(registry.resources.others(desired.secret_resource, desired.access_id))
    if not is_shared and was_created_here(secret, desired.stack, registry):
        return []
    noted = f"removed the statements of this access from the policy of {secret.arn}"
    remove_secret_statements(removal, secret.arn, desired.secret_statements(secret.arn), noted)
    return []


def _withdrawn(arn: str) -> str:
    return f"{arn} keeps the statements of this access in its policy, because its owner withdrew consent: remove them by hand"


def _of_role(removal: Removal, part: RecordedPart, registry: Registry) -> list[str]:
    """Deletes the reader role, which belongs to this access only, unless its resource still reads other secrets with it."""
    desired, iam, clients = part.desired, removal.clients.iam, removal.clients
    wanted = desired.role(part.record.key_arn, part.record.secret_arn) if part.record.secret_arn else None
    role = find_role(iam, wanted.name) if wanted else None
    if wanted is not None and role is None:  # an attempt that crashed can have deleted it
        registry.resources.release(wanted.arn(desired.place), desired.access_id)
    if wanted is None or role is None or not _is_own(role.tags, desired):
        return []
    if _is_used_by_resource(desired, role.arn, clients):
        return [f"{role.arn} stays, because the resource reads other secrets with it"]
    if removal.is_used(role.arn):
        return [f"{role.arn} stays, because another request of this access uses it"]
    if role.others:
        return [f"{role.arn} stays, because it has the policies {', '.join(role.others)}: remove them, and delete the role"]
    removal.note(f"deleted {role.arn}")
    delete_role(wanted.name, iam)
    registry.resources.release(role.arn, desired.access_id)
    return []


def _is_own(tags: dict[str, str], desired: Desired) -> bool:
    return is_ours(tags, desired.stack) and tags.get(ACCESS) == desired.access_id


def _is_used_by_resource(desired: Desired, role_arn: str, clients: Clients) -> bool:
    configuration = desired.system.configuration
    present = configuration.read(clients.client_for(configuration.service), desired.resource) if configuration else None
    return present is not None and present.settings.get("roleArn") == role_arn
