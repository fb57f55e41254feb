"""Which rotations a sweep starts: those that are due, and the withdrawal of those that nobody confirmed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from latchkey.access.record import AccessRecord
from latchkey.access.rotating import Rotating
from latchkey.cleanup.due_rotations import due_rotations
from latchkey.errors import InvalidRequest
from latchkey.registry.access_locks import LockHolder
from latchkey.registry.accesses import KnownAccess
from latchkey.registry.execution_input import ExecutionInput
from latchkey.registry.phases import AccessPhase
from latchkey.requests.lifecycle import RotationRequested
from latchkey.requests.parsing import parse_onboarding
from tests.unit.samples import EXECUTION_ARN, KEY_ARN, SECRET_ARN, SETTINGS, detail

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ACCESS_ID = "mediatailor/sourceLocation/sports-origin"
SCHEDULE = {"rotation": {"everyDays": 30, "pendingDays": 3}}


def known(*, status: str = "active", phase: AccessPhase | None = None, **members: Any) -> KnownAccess:
    record = AccessRecord(ACCESS_ID, "mediatailor", status, "request-1", KEY_ARN, SECRET_ARN, None, tenant="sports")
    wanted = json.dumps(detail(members.pop("request", SCHEDULE)))
    given: dict[str, Any] = {"record": record, "lock": None, "recorded_at": NOW - timedelta(days=40)} | members
    return KnownAccess(
        access_id=ACCESS_ID, grant_keys=frozenset(), unfinished=None, unpublished=False, wanted=wanted, phase=phase, **given
    )


def due(access: KnownAccess, last: datetime | None = None) -> list[ExecutionInput]:
    return [*due_rotations([access], lambda _: last, SETTINGS, NOW)]


def pending(until: datetime, *, is_pending: bool = True) -> AccessPhase:
    facts = Rotating(secretArn=SECRET_ARN, version="next", former="current", until=until, isPending=is_pending)
    return AccessPhase("rotating", "rotation-1", NOW, facts.model_dump(mode="json", by_alias=True))


def test_a_token_is_rotated_when_its_period_is_over() -> None:
    [one] = due(known())

    assert isinstance(one.asked, RotationRequested)
    assert (one.tenant, one.access_id, one.kind) == ("sports", ACCESS_ID, "Rotation Requested")
    assert one.asked.pending_days == 3
    assert one.request
    assert one.request.request_id == one.request_id == one.asked.request_id
    assert ExecutionInput.model_validate_json(one.model_dump_json(by_alias=True)) == one


def test_the_period_begins_with_the_last_rotation() -> None:
    assert due(known(), NOW - timedelta(days=29)) == []
    assert len(due(known(), NOW - timedelta(days=30))) == 1


def test_of_the_accesses_of_one_secret_only_one_is_rotated() -> None:
    others = [known(), known(request=SCHEDULE | {"secret.name": "latchkey/another"})]

    assert len([*due_rotations([known(), *others], lambda _: None, SETTINGS, NOW)]) == 2


def test_a_rotation_is_tried_once_a_day_under_one_id() -> None:
    [first], [second] = due(known()), due(known())
    assert first == second


@pytest.mark.parametrize(
    "access",
    [
        known(record=None),
        known(status="revoked"),
        known(request={}),
        known(lock=LockHolder(EXECUTION_ARN, NOW)),
        known(recorded_at=None),
        known(phase=AccessPhase("moving", "request-2", NOW, {})),
        known(phase=pending(NOW + timedelta(days=1))),
        known(phase=pending(NOW - timedelta(days=1), is_pending=False)),
    ],
    ids=["unknown", "revoked", "no schedule", "running", "undated", "moving", "still pending", "not yet pending"],
)
def test_nothing_is_due(access: KnownAccess) -> None:
    assert due(access) == []


def test_a_rotation_that_nobody_confirmed_is_withdrawn() -> None:
    [one] = due(known(phase=pending(NOW)))

    assert isinstance(one.asked, RotationRequested)
    assert one.asked.withdraw
    assert one.asked.model_fields_set == {"request_id", "access_id", "withdraw"}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("adobe-experience-platform", {}),
        ("mediaconnect-output", {}),
        ("mediatailor", {"secret.value": {"copyFrom": {"secretArn": SECRET_ARN}}}),
    ],
)
def test_a_token_without_an_order_has_no_schedule(kind: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="must not contain rotation"):
        parse_onboarding(detail(SCHEDULE | changes, kind))


@pytest.mark.parametrize("days", [0, 1001])
def test_a_period_has_bounds(days: int) -> None:
    with pytest.raises(InvalidRequest):
        parse_onboarding(detail({"rotation": {"everyDays": days}}))
