"""The states of an access: which transitions are allowed, which requests each state accepts, and how phases are recorded."""

from __future__ import annotations

import itertools

import pytest

from latchkey.access.lifecycle import PHASES, STATES, STATUSES, TRANSITIONS, Phase, State, broken_rule, may_become
from latchkey.access.record import Status
from latchkey.errors import TransientAwsError
from latchkey.registry import Registry
from latchkey.requests.lifecycle import (
    ACCESS_REQUESTS,
    OFFBOARDING_REQUESTED,
    RESTORATION_REQUESTED,
    ROTATION_CONFIRMED,
    ROTATION_REQUESTED,
)
from latchkey.requests.models import HANDOFF_CONFIRMED, ONBOARDING_REQUESTED
from tests.unit.samples import FULL, detail
from tests.unit.test_registry import RECORD

ACCESS_ID = RECORD.access_id
OBSERVED: tuple[Status, ...] = ("active", "handed-off", "unmanaged", "revoked", "detached", "gone")
# Every pair that is not listed here is forbidden.
ALLOWED: set[tuple[State, State]] = {
    *((state, state) for state in STATES),
    *itertools.permutations(OBSERVED, 2),
    *((None, state) for state in ("active", "handed-off")),
    *((state, "offboarding") for state in OBSERVED),
    ("active", "rotating"),
    ("active", "moving"),
    *((phase, status) for phase in PHASES for status in OBSERVED),
    ("offboarding", "offboarded"),
    ("offboarded", "active"),
    ("offboarded", "handed-off"),
    ("offboarded", "offboarding"),
}


@pytest.mark.parametrize("former", STATES, ids=str)
@pytest.mark.parametrize("latter", STATES, ids=str)
def test_an_access_changes_only_between_the_states_that_are_listed(former: State, latter: State) -> None:
    assert may_become(former, latter) is ((former, latter) in ALLOWED)


def test_every_state_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(STATES) == {*STATUSES, *PHASES, None}


ACCEPTED: dict[str, set[State]] = {
    ONBOARDING_REQUESTED: {*OBSERVED, None, "offboarded"},
    HANDOFF_CONFIRMED: {*OBSERVED},
    OFFBOARDING_REQUESTED: {*OBSERVED, "offboarding", "offboarded"},
    RESTORATION_REQUESTED: {"offboarded"},
    ROTATION_REQUESTED: {"active"},
    ROTATION_CONFIRMED: {"rotating"},
}


@pytest.mark.parametrize("kind", [ONBOARDING_REQUESTED, HANDOFF_CONFIRMED, *ACCESS_REQUESTS])
@pytest.mark.parametrize("state", STATES, ids=str)
def test_a_state_accepts_the_requests_that_are_listed(kind: str, state: State) -> None:
    assert (broken_rule(kind, state) is None) is (state in ACCEPTED[kind])


@pytest.mark.parametrize("state", STATES, ids=str)
def test_only_a_pending_rotation_is_withdrawn(state: State) -> None:
    assert (broken_rule(ROTATION_REQUESTED, state, withdraws=True) is None) is (state == "rotating")


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_is_the_state_of_an_access_until_it_ends(registry: Registry, phase: Phase) -> None:
    registry.accesses.save(RECORD, detail(FULL))
    registry.phases.begin(ACCESS_ID, phase, "request-2", {"version": "one"})

    found = registry.phases.get(ACCESS_ID)
    [known] = registry.accesses.all()
    assert found
    assert (found.name, found.request_id, found.facts) == (phase, "request-2", {"version": "one"})
    assert registry.phases.state(ACCESS_ID) == known.state == phase

    registry.phases.end(ACCESS_ID, phase)
    [known] = registry.accesses.all()
    assert registry.phases.get(ACCESS_ID) is None
    assert registry.phases.state(ACCESS_ID) == known.state == "active"


def test_an_access_that_is_not_recorded_has_no_state_and_begins_no_phase(registry: Registry) -> None:
    registry.locks.lock(ACCESS_ID, "arn:one")

    with pytest.raises(TransientAwsError):
        registry.phases.begin(ACCESS_ID, "offboarding", "request-2")
    [known] = registry.accesses.all()
    assert (registry.phases.state(ACCESS_ID), known.state) == (None, None)


def test_a_phase_that_continues_keeps_its_time_and_facts(registry: Registry) -> None:
    registry.accesses.save(RECORD, detail(FULL))
    first = registry.phases.begin(ACCESS_ID, "offboarding", "request-2", {"found": {}})

    again = registry.phases.begin(ACCESS_ID, "offboarding", "request-3", {"found": {"other": 1}})

    assert (again.since, again.facts, again.request_id) == (first.since, first.facts, "request-3")


def test_two_phases_never_overlap(registry: Registry) -> None:
    registry.accesses.save(RECORD, detail(FULL))
    registry.phases.begin(ACCESS_ID, "rotating", "request-2")

    with pytest.raises(TransientAwsError):
        registry.phases.begin(ACCESS_ID, "moving", "request-3")
    with pytest.raises(TransientAwsError):
        registry.phases.note(ACCESS_ID, "moving", {})
    registry.phases.end(ACCESS_ID, "moving")
    assert registry.phases.state(ACCESS_ID) == "rotating"


def test_the_facts_of_a_phase_can_be_replaced(registry: Registry) -> None:
    registry.accesses.save(RECORD, detail(FULL))
    registry.phases.begin(ACCESS_ID, "rotating", "request-2", {"version": "one"})

    registry.phases.note(ACCESS_ID, "rotating", {"version": "two"})

    found = registry.phases.get(ACCESS_ID)
    assert found
    assert found.facts == {"version": "two"}


def test_an_observed_status_does_not_end_a_phase(registry: Registry) -> None:
    saved = registry.accesses.save(RECORD, detail(FULL))
    registry.phases.begin(ACCESS_ID, "rotating", "request-2")

    registry.accesses.record_status(saved, "revoked", ["secret policy admits the reader"])

    record = registry.accesses.get(ACCESS_ID)
    assert record
    assert (record.status, registry.phases.state(ACCESS_ID)) == ("revoked", "rotating")
