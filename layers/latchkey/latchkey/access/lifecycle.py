"""The states of an access, the transitions between them, and the requests that each state accepts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from latchkey.access.record import Status
from latchkey.requests.lifecycle import (
    OFFBOARDING_REQUESTED,
    RESTORATION_REQUESTED,
    ROTATION_CONFIRMED,
    ROTATION_REQUESTED,
)
from latchkey.requests.models import HANDOFF_CONFIRMED, ONBOARDING_REQUESTED

# rotating: a new token waits for its confirmation, or is about to become current. moving: the secret and its readers move to
# another key. offboarding: the resource no longer reads the secret, or is about to stop; only another offboarding continues.
Phase = Literal["rotating", "moving", "offboarding"]
# The phase of an access or, if it is in none, its status. None: no onboarding has succeeded.
State = Status | Phase | None

PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
STATES: Final[tuple[State, ...]] = (*STATUSES, *PHASES, None)

# The statuses that a sweep or a cleanup records, and that an onboarding or a confirmation can record again.
_OBSERVED: Final[frozenset[State]] = frozenset(["active", "handed-off", "unmanaged", "revoked", "detached", "gone"])
TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    None: frozenset(["active", "handed-off"]),
    **{state: _OBSERVED - {state} | {"offboarding"} for state in _OBSERVED},
    "active": _OBSERVED - {"active"} | set(PHASES),
    # The status is observed while a phase lasts, so an access can leave it for any status.
    "rotating": _OBSERVED,
    "moving": _OBSERVED,
    "offboarding": _OBSERVED | {"offboarded"},
    "offboarded": frozenset(["active", "handed-off", "offboarding"]),
}

_ACCEPTED: Final[Mapping[str, frozenset[State]]] = {
    ONBOARDING_REQUESTED: _OBSERVED | {None, "offboarded"},
    HANDOFF_CONFIRMED: _OBSERVED,
    # Another offboarding removes what the first one had to leave.
    OFFBOARDING_REQUESTED: _OBSERVED | {"offboarding", "offboarded"},
    RESTORATION_REQUESTED: frozenset(["offboarded"]),
    ROTATION_REQUESTED: frozenset(["active"]),
    ROTATION_CONFIRMED: frozenset(["rotating"]),
}
_REASONS: Final[Mapping[State, str]] = {
    None: "is not a recorded access: correct the access ID, or onboard the access first",
    "active": "is active",
    "handed-off": "is handed off: send Handoff Confirmed first",
    "unmanaged": "is no longer managed, because its owner withdrew consent: onboard it again after the owner has consented",
    "revoked": "is revoked: repair it first with the remedy in its Access Revoked event",
    "detached": "is detached, because its resource uses another secret or none: onboard it again first",
    "gone": "is gone, because its resource does not exist: onboard it again first",
    "offboarded": "is offboarded: send Restoration Requested or Onboarding Requested first",
    "rotating": "has a pending rotation: confirm it with Rotation Confirmed, or withdraw it with Rotation Requested",
    "moving": "is being moved to another key: wait for the outcome of that request",
    "offboarding": "is being offboarded: send Offboarding Requested again to finish it",
}
_INSTEAD: Final[Mapping[tuple[str, State], str]] = {
    (RESTORATION_REQUESTED, "active"): "is active, so there is nothing to restore",
    (RESTORATION_REQUESTED, "handed-off"): "is handed off, so there is nothing to restore: send Handoff Confirmed instead",
    (ROTATION_CONFIRMED, "active"): "has no pending rotation: send Rotation Requested first",
}


def may_become(former: State, latter: State) -> bool:
    """Whether an access can change from one state to another. Staying in a state is always allowed."""
    return former == latter or latter in TRANSITIONS[former]


def broken_rule(kind: str, state: State, *, withdraws: bool = False) -> str | None:
    """Why an access in this state does not accept a request of this kind, or None if it does.

    `withdraws`: the request ends a pending rotation.
    """
    if withdraws:
        return None if state == "rotating" else "has no pending rotation: remove withdraw"
    return None if state in _ACCEPTED[kind] else _INSTEAD.get((kind, state), _REASONS[state])
