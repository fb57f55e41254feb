"""Cleans up the former key of a moved secret: removes our statements, and schedules the deletion of a key of Latchkey."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from latchkey.access.desired import Desired, desire
from latchkey.aws.clients import Clients
from latchkey.aws.keys import ObservedKey, find_key
from latchkey.aws.secrets import find_secret
from latchkey.errors import NotYetEffective
from latchkey.events.outcomes import Evidence, KeyLeft
from latchkey.onboarding.rules.consent import is_own_key
from latchkey.registry import Registry
from latchkey.registry.accesses import LeftKey
from latchkey.removal.key import schedule_key_deletion
from latchkey.removal.policies import remove_key_statements
from latchkey.removal.removal import Removal
from latchkey.settings import Settings
from latchkey.wire import WireModel


class LeaveKeyInput(WireModel):
    """The accesses that were moved, and the execution that holds their locks; None if none does.

    `request_id` is the request that moved them, for the log. `locks`: the execution is one of a cleanup, so this function takes
    the locks and releases them.
    """

    access_ids: tuple[str, ...]
    execution_arn: str | None = None
    request_id: str | None = None
    locks: bool = False


@dataclass
class _Report:
    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)


def leave_key(event: LeaveKeyInput, settings: Settings, registry: Registry, clients: Clients) -> KeyLeft:
    """Removes what the accesses no longer need on the former keys of their secrets. A second call has no effect.

    Grants are left to the cleanup, which has evidence for each. An access that another request is changing is left alone: the
    sweep tries again.
    """
    if not event.locks:
        return _leave_keys(event, settings, registry, clients)
    locked = [access_id for access_id in event.access_ids if _lock(access_id, event.execution_arn or "", registry)]
    try:
        return _leave_keys(event.model_copy(update={"access_ids": tuple(locked)}), settings, registry, clients)
    finally:
        for access_id in locked:
            registry.locks.unlock(access_id, event.execution_arn or "")


def _lock(access_id: str, execution_arn: str, registry: Registry) -> bool:
    """Locks an access, so that no request begins to use a key again while it is left. Returns whether that was possible."""
    try:
        registry.locks.lock(access_id, execution_arn)
    except NotYetEffective:
        return False
    return True


def _leave_keys(event: LeaveKeyInput, settings: Settings, registry: Registry, clients: Clients) -> KeyLeft:
    users: dict[str, list[tuple[str, LeftKey]]] = {}
    for access_id in event.access_ids:
        if registry.locks.holder(access_id) in (None, event.execution_arn):
            for one in registry.accesses.left_keys(access_id):
                users.setdefault(one.key_arn, []).append((access_id, one))
    report = _Report()
    for key_arn, leaving in sorted(users.items()):
        _leave(key_arn, leaving, report, event.execution_arn, settings, registry, clients)
    return KeyLeft(removed=tuple(report.removed), left=tuple(report.left), evidence=tuple(report.evidence))


def _leave(
    key_arn: str,
    leaving: Sequence[tuple[str, LeftKey]],
    report: _Report,
    execution_arn: str | None,
    settings: Settings,
    registry: Registry,
    clients: Clients,
) -> None:
    """Leaves one key. The statements of all accesses go before its deletion is considered."""
    key, removals = find_key(clients.kms, key_arn), []
    moved = frozenset(one for one, _ in leaving if execution_arn and registry.locks.holder(one) == execution_arn)
    for access_id, one in leaving:
        record = registry.accesses.get(access_id)
        secret = find_secret(clients.secretsmanager, record.secret_arn) if record and record.secret_arn else None
        if secret is not None and secret.kms_key_id == key_arn:
            report.left.append(f"{key_arn} keeps the statements of {access_id}, because {secret.arn} was moved back to it")
            continue
        former = desire(one.request, settings, record.tenant if record else "")
        removal = _removal(former, report, execution_arn, settings, registry, clients)
        removals.append(replace(removal, leaving=moved))
    if key is not None and key.state != "PendingDeletion":
        for removal in removals:
            noted = f"removed the statements of {removal.access_id} from the policy of {key_arn}"
            remove_key_statements(removal, key_arn, removal.desired.known_key_statements, noted)
    if key is not None and removals:
        _delete(key, removals, report)
    for removal in removals:
        registry.accesses.note_key_left(removal.access_id, key_arn)


def _delete(key: ObservedKey, removals: Sequence[Removal], report: _Report) -> None:
    """Releases a key, and schedules its deletion if Latchkey created it, a request allowed that, and nothing uses it."""
    first, resources = removals[0], removals[0].registry.resources
    aliases = [removal.desired.alias for removal in removals]
    is_own = any(is_own_key(key, first.desired.stack, recorded=resources.is_recorded_key(key.arn, one)) for one in aliases)
    for removal in removals:
        if not removal.is_used(key.arn):
            resources.release(key.arn, removal.access_id)
    if not is_own:
        report.left.append(f"{key.arn} stays, because Latchkey did not create it")
    elif not any(removal.desired.request.key.allow_deletion for removal in removals):
        report.left.append(f"{key.arn} stays, because no request set key.allowDeletion for it")
    elif users := schedule_key_deletion(first, key, grants_of=frozenset(_grant_names(removals))):
        report.left.append(f"{key.arn} stays, because it is in use ({users})")


def _grant_names(removals: Iterable[Removal]) -> Iterable[str]:
    return (removal.desired.grant_name for removal in removals if removal.desired.grant_name)


def _removal(
    former: Desired, report: _Report, execution_arn: str | None, settings: Settings, registry: Registry, clients: Clients
) -> Removal:
    access_id = former.access_id

    def kept(resource: str) -> list[Desired]:
        # A request that began meanwhile has no key yet, and can move the access back. The request of this execution cannot.
        found = registry.accesses.announced_requests(access_id)
        keys = {resource} if registry.locks.holder(access_id) == execution_arn else {None, resource}
        return [desire(one.request, settings, one.tenant) for one in found if one.key_arn in keys]

    return Removal(
        desired=former,
        settings=settings,
        registry=registry,
        clients=clients,
        note=report.removed.append,
        note_evidence=report.evidence.append,
        kept=kept,
        is_used=lambda resource: any(one.key_arn == resource for one in registry.accesses.announced_requests(access_id)),
    )
