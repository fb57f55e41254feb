"""Rolls back a failed request from its journal: deletes what only it uses, and restores what it changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import Enum
from functools import partial
from types import MappingProxyType

from latchkey.access.desired import desire
from latchkey.aws.clients import Clients
from latchkey.onboarding.rollback.former_version import expand_former_notes
from latchkey.onboarding.rollback.key import roll_back_key, roll_back_key_rotation
from latchkey.onboarding.rollback.policies import roll_back_key_policy, roll_back_secret_policy
from latchkey.onboarding.rollback.record import roll_back_record
from latchkey.onboarding.rollback.references import roll_back_reference
from latchkey.onboarding.rollback.resource import roll_back_resource
from latchkey.onboarding.rollback.restoration import roll_back_secret_restoration
from latchkey.onboarding.rollback.role import roll_back_role
from latchkey.onboarding.rollback.rollback import Decision, Rollback
from latchkey.onboarding.rollback.rotation import roll_back_end, roll_back_rotation
from latchkey.onboarding.rollback.secret import roll_back_secret, roll_back_secret_key, roll_back_secret_version
from latchkey.registry import Registry
from latchkey.registry.journal import REQUEST, Entry
from latchkey.requests.parsing import AnyOnboarding, parse_onboarding
from latchkey.settings import Settings
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel


class UndoOnboardingInput(WireModel):
    """The failed request, or None if it was invalid, and its execution. The request of a plan has nothing to roll back.

    `holder` is the execution of end-request that runs the rollback, or None for the failed execution itself. `reported`: the
    outcome of the request is already published, so no later step settles the journal.
    """

    request: AnyOnboarding | None
    tenant: str = DEFAULT_TENANT
    execution_arn: str
    confirms: bool = False
    holder: str | None = None
    reported: bool = False


class Undone(WireModel):
    """The steps of the rollback, and what stays with the reason, as text."""

    undone: tuple[str, ...]
    left: tuple[str, ...] = ()


class _Then(Enum):
    """What happens if a change stays. An abandoned change is reported once, and a person must decide about it."""

    GO_ON = "the sweep tries again"
    STOP = "the sweep tries again, and nothing else can be rolled back until then"
    ABANDON = "a person must decide"
    ABANDON_ALL = "a person must decide about this change and all earlier ones"


def _end_phase(rollback: Rollback, _entry: Entry) -> None:
    """Ends the rotation that the request has begun, even if it crashed before it recorded its plan. It comes last."""
    phase = rollback.registry.phases.get(rollback.access_id)
    if phase is not None and phase.request_id == rollback.desired.request.request_id:
        rollback.registry.phases.end(rollback.access_id, "rotating")


# The steps after this one change how resources read. Those before it create or refer to what is read.
_READING = "40"
type _Part = tuple[Callable[[Rollback, Entry], str | None], _Then]
_PARTS: Mapping[str, _Part] = MappingProxyType(
    {
        "request": (_end_phase, _Then.GO_ON),
        "reference": (roll_back_reference, _Then.GO_ON),
        "key": (roll_back_key, _Then.GO_ON),
        "secret-restoration": (roll_back_secret_restoration, _Then.ABANDON),
        "key-rotation": (roll_back_key_rotation, _Then.GO_ON),
        "secret": (roll_back_secret, _Then.GO_ON),
        "secret-version": (roll_back_secret_version, _Then.ABANDON),
        "rotation": (roll_back_rotation, _Then.GO_ON),
        "phase": (roll_back_end, _Then.GO_ON),
        "key-policy": (roll_back_key_policy, _Then.ABANDON),
        "secret-policy": (roll_back_secret_policy, _Then.GO_ON),
        "secret-key": (roll_back_secret_key, _Then.GO_ON),
        "role": (roll_back_role, _Then.GO_ON),
        "resource": (roll_back_resource, _Then.STOP),
        "record": (roll_back_record, _Then.ABANDON_ALL),
    }
)


def undo_onboarding(event: UndoOnboardingInput, settings: Settings, registry: Registry, clients: Clients) -> Undone:
    """Rolls back the changes in the journal in reverse order, and returns the steps. Cleanups revoke the grants.

    What somebody else has changed since is left alone. A second run changes nothing, and after a crash between any two calls, a
    retry completes the rollback. Raises NotYetEffective while another request has the access.
    """
    if event.request is None or event.request.plans:
        return Undone(undone=())
    desired = desire(event.request, settings, event.tenant)
    journal = registry.journal.of(event.execution_arn, desired.access_id, event.tenant)
    rollback = Rollback(desired, journal, settings, registry, clients)
    expand_former_notes(rollback, confirms=event.confirms)
    remaining = [entry for entry in journal.entries() if entry.state == "open"]
    if remaining:
        rollbacks = {one.access_id: one for one in (rollback, *_companions(rollback))}
        with ExitStack() as locks:
            for one in rollbacks.values():
                locks.enter_context(_locked(one, event.holder or event.execution_arn))
            remaining.reverse()
            remaining.sort(key=partial(_stage, desired.access_id))
            _roll_back(rollbacks, remaining)
            for access_id in rollbacks:
                registry.phases.end(access_id, "moving")
    entries = journal.entries()
    if event.reported:
        journal.settle(keep_open=True)
    return Undone(undone=steps_of(entries), left=tuple(entry.left for entry in entries if entry.left))


def steps_of(entries: Iterable[Entry]) -> tuple[str, ...]:
    """The steps of a rollback, sorted."""
    return tuple(sorted({text for entry in entries for text in entry.undone}))


def _stage(access_id: str, entry: Entry) -> int:
    """The stage of the rollback: first what the accesses read with, then the references, key and secret.

    The references of other accesses come before the key of the request, which they would keep.
    """
    if entry.step > _READING:
        return 0
    return 2 if entry.access_id == access_id else 1


def _companions(rollback: Rollback) -> list[Rollback]:
    """The rollbacks of the other accesses that the request changes. Each has noted the request that it was to fulfill."""
    found = ((journal, journal.entry(REQUEST)) for journal in rollback.journal.companions())
    requests = ((journal, parse_onboarding(entry.wanted["request"], is_new=False)) for journal, entry in found if entry)
    tenant, settings = rollback.desired.tenant, rollback.settings
    return [replace(rollback, desired=desire(request, settings, tenant), journal=journal) for journal, request in requests]


def _roll_back(rollbacks: Mapping[str, Rollback], remaining: list[Entry]) -> None:
    """Rolls back entries. Those of one step follow each other, whichever access they are about."""
    for at, entry in enumerate(remaining):
        rollback = rollbacks[entry.access_id]
        roll_back, then = _PARTS[entry.kind]
        reason = roll_back(rollback, entry)
        then = _Then.ABANDON if isinstance(reason, Decision) else then
        if reason is None:
            rollback.journal.finish(entry.step)
        elif then in (_Then.GO_ON, _Then.STOP):
            rollback.journal.leave(entry.step, reason)
        else:
            for abandoned in remaining[at:] if then is _Then.ABANDON_ALL else [entry]:
                rollbacks[abandoned.access_id].journal.abandon(abandoned.step, reason)
        if reason is not None and then in (_Then.STOP, _Then.ABANDON_ALL):
            return


@contextmanager
def _locked(rollback: Rollback, holder: str) -> Iterator[None]:
    """Holds the lock of the access. The failed execution keeps its own lock until its outcome is reported."""
    locks, access_id, failed = rollback.registry.locks, rollback.access_id, rollback.journal.execution_arn
    locks.lock_for_rollback(access_id, failed, holder)
    try:
        yield
    finally:
        if holder != failed:
            locks.unlock(access_id, holder)
