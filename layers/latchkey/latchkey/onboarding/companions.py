"""The other accesses that read the secret of an access that moves to another key: all of them move with it, or none does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from latchkey.access.bounds import Bounds
from latchkey.access.desired import Desired, desire
from latchkey.errors import InvalidRequest, NotYetEffective, Problem
from latchkey.onboarding.rules.denials import FunctionRoles
from latchkey.onboarding.rules.evidence import CompanionEvidence
from latchkey.onboarding.rules.move import NOT_READING, companion_problems, problems_of_companion
from latchkey.onboarding.rules.read_evidence import EvidenceReader
from latchkey.onboarding.rules.request_rules import request_problems
from latchkey.onboarding.rules.stacks import stack_problems
from latchkey.onboarding.rules.tenants import tenant_problems
from latchkey.registry import Registry
from latchkey.registry.access_locks import IsOver
from latchkey.registry.journal import REQUEST, RequestJournal
from latchkey.registry.requests import RequestRef
from latchkey.requests.models import KeyRequest, OnboardingRequest


def moved_request(recorded: OnboardingRequest[Any], desired: Desired) -> OnboardingRequest[Any]:
    """The recorded request of another access with the key, and under the ID, of the request that moves the secret.

    Administrators and users of the former key are not carried over: only the request that names a key decides about them.
    """
    key = {"arn": desired.request.key.arn} if desired.request.key.arn else {"alias": desired.alias}
    moved = {"request_id": desired.request.request_id, "key": KeyRequest.model_validate({**key, "move": True})}
    return recorded.model_copy(update=moved)


def lock_companions(
    desired: Desired, ref: RequestRef, execution_arn: str, registry: Registry, is_over: IsOver
) -> tuple[CompanionEvidence, ...]:
    """Locks every other access that reads the secret, and returns what is recorded about it.

    Raises NotYetEffective while another request holds one of the locks. All locks are then released until the next attempt, so
    that two requests that move each other's accesses do not deadlock. An access that does not read the secret, such as an
    offboarded one, is not locked, but a running request can make it read again.
    """
    journal = registry.journal_of(execution_arn, desired.access_id, desired.tenant)
    reading = _reading(desired, registry)
    try:
        for access_id in sorted(registry.resources.others(desired.secret_resource, desired.access_id)):
            if access_id not in reading:
                registry.locks.await_free(access_id, is_over, ref)
            elif recorded := registry.accesses.recorded_request(access_id):  # otherwise, the request is rejected
                # Before the lock, so that whoever ends the request unlocks the access.
                journal.of_companion(access_id).intend(REQUEST, {"request": moved_request(recorded, desired).recorded})
                registry.locks.lock(access_id, execution_arn, is_over, ref, desired.access_id)
    except NotYetEffective:
        for locked in (*reading, desired.access_id):
            registry.locks.unlock(locked, execution_arn)
        raise
    return tuple(_companion(access_id, ref.request_id, registry) for access_id in reading)


def read_companions(desired: Desired, ref: RequestRef, registry: Registry, is_over: IsOver) -> tuple[CompanionEvidence, ...]:
    """What is recorded about every other access that reads the secret, for a plan, which locks nothing.

    Raises NotYetEffective while another request holds the lock of one of them.
    """
    reading = _reading(desired, registry)
    for access_id in reading:
        registry.locks.await_free(access_id, is_over, ref)
    return tuple(_companion(access_id, ref.request_id, registry) for access_id in reading)


def _reading(desired: Desired, registry: Registry) -> list[str]:
    """The other accesses that read the secret."""
    others = sorted(registry.resources.others(desired.secret_resource, desired.access_id))
    return [access_id for access_id in others if registry.phases.state(access_id) not in NOT_READING]


def _companion(access_id: str, request_id: str, registry: Registry) -> CompanionEvidence:
    phase, found = registry.phases.get(access_id), registry.accesses.to_confirm(access_id)
    # An earlier attempt of this request can have begun the phase.
    begun_here = phase is not None and phase.request_id == request_id
    record = registry.accesses.get(access_id)
    status = None if record is None else record.status if record.reached == "active" else record.reached
    return CompanionEvidence(
        access_id=access_id,
        state=phase.name if phase and not begun_here else status,  # type: ignore[arg-type]  # a record has one of the statuses
        request=registry.accesses.recorded_request(access_id),
        is_confirmed=found is None or not found.is_pending,
    )


def check_companions(
    desired: Desired, found: tuple[CompanionEvidence, ...], reader: EvidenceReader, bounds: Bounds, roles: FunctionRoles
) -> tuple[OnboardingRequest[Any], ...]:
    """The requests that the other accesses are to fulfill. Raises InvalidRequest if one of them breaks a rule."""
    problems = [*companion_problems(found)]
    if problems:
        raise InvalidRequest(problems)
    requests = tuple(moved_request(one.request, desired) for one in found if one.request)
    for request in requests:
        companion = desire(request, bounds.settings, desired.tenant)
        problems += problems_of_companion(companion.access_id, _rules(companion, reader, bounds, roles))
    if problems:
        raise InvalidRequest(problems)
    return requests


def _rules(desired: Desired, reader: EvidenceReader, bounds: Bounds, roles: FunctionRoles) -> Iterator[Problem]:
    evidence = reader.read_request(desired)
    foreign = [*tenant_problems(desired, evidence, reader.registry.resources.tenant), *stack_problems(desired, evidence)]
    yield from foreign or set(request_problems(desired, evidence, bounds, roles))


def begin_move(
    desired: Desired, requests: Iterable[OnboardingRequest[Any]], journal: RequestJournal, registry: Registry
) -> None:
    """Announces the requests of the other accesses, and records that all of these accesses are being moved."""
    for request in requests:
        registry.locks.announce_request(request.access_id, request.recorded, journal.execution_arn, journal.tenant)
        registry.phases.begin(request.access_id, "moving", request.request_id)
    registry.phases.begin(desired.access_id, "moving", desired.request.request_id)
