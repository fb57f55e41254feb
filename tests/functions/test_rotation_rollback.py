"""What a rollback restores after a rotation, a confirmation or a withdrawal was recorded, such as when its report is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from latchkey.registry import registry
from latchkey.registry.phases import AccessPhase
from tests.functions.account import Account
from tests.functions.onboarding_requests import Run
from tests.functions.rotation_steps import Rotation


@pytest.fixture
def rotation(run: Run, account: Account) -> Rotation:
    return Rotation(run, account)


def rotated_at(rotation: Rotation) -> datetime | None:
    return registry().tokens.rotated_at(rotation.secret_resource)


def phase(rotation: Rotation) -> AccessPhase | None:
    return registry().phases.get(rotation.access_id)


def rotate(rotation: Rotation) -> Rotation:
    rotation.check()
    rotation.stage()
    rotation.promote()
    rotation.record("rotated")
    return rotation


def pend(rotation: Rotation) -> AccessPhase:
    rotation.check()
    rotation.stage()
    rotation.record("pending")
    rotation.end()
    found = phase(rotation)
    assert found
    return found


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_rotation_that_is_rolled_back_is_due_as_before(run: Run, account: Account, earlier: int) -> None:
    rotation = Rotation(run, account, "mediapackage")
    for number in range(earlier):
        rotate(rotation.begin(number=f"earlier-{number}")).end()
    before, labels = rotated_at(rotation), rotation.labels
    rotate(rotation.begin(number="lost"))
    assert rotated_at(rotation) != before

    rotation.undo()

    assert (rotated_at(rotation), rotation.labels) == (before, labels)


def test_a_late_rollback_keeps_the_time_of_the_rotation_that_followed(run: Run, account: Account) -> None:
    rotation, later = Rotation(run, account, "mediapackage"), datetime.now(UTC) + timedelta(days=1)
    rotate(rotation)
    registry().tokens.note_rotation(rotation.secret_resource, later)

    rotation.undo()

    assert rotated_at(rotation) == later


def test_a_confirmation_that_is_rolled_back_leaves_the_rotation_pending(rotation: Rotation) -> None:
    before, labels = pend(rotation), rotation.labels
    rotation.begin("Rotation Confirmed").check()
    rotation.promote()
    rotation.record("rotated")

    rotation.undo()

    assert (phase(rotation), rotation.labels) == (before, labels)


def test_a_withdrawal_that_is_rolled_back_can_be_requested_again(rotation: Rotation) -> None:
    labels, before = rotation.labels, pend(rotation)
    rotation.begin(number="lost", withdraw=True).check()
    rotation.withdraw()
    rotation.record("withdrawn")

    rotation.undo()
    assert phase(rotation) == before
    rotation.end()

    rotation.begin(number="again", withdraw=True).check()
    rotation.withdraw()
    rotation.record("withdrawn")
    assert (phase(rotation), rotation.labels) == (None, labels)


@pytest.mark.parametrize("kind", ["Rotation Confirmed", "Rotation Requested"])
def test_a_late_rollback_leaves_the_phase_of_the_rotation_that_followed(rotation: Rotation, kind: str) -> None:
    pend(rotation)
    late = rotation.begin(kind, "late", **({"withdraw": True} if kind == "Rotation Requested" else {}))
    late.check()
    (late.withdraw if late.plan["withdraws"] else late.promote)()
    late.record("withdrawn" if late.plan["withdraws"] else "rotated")
    event, execution, access_id = late.event, late.execution, rotation.access_id
    registry().locks.unlock(access_id, execution)
    following = pend(rotation.begin(number="following"))
    rotation.begin(kind, "late")
    rotation.event, rotation.execution = event, execution

    rotation.undo()

    assert phase(rotation) == following


def test_a_late_rollback_begins_no_phase_after_the_next_rotation(rotation: Rotation) -> None:
    pend(rotation)
    rotation.begin(number="late", withdraw=True).check()
    rotation.withdraw()
    rotation.record("withdrawn")
    event, execution = rotation.event, rotation.execution
    registry().locks.unlock(rotation.access_id, execution)
    rotation.begin(number="following", acceptsInterruption=True)
    rotate(rotation).end()
    rotation.event, rotation.execution = event, execution

    rotation.undo()

    assert phase(rotation) is None


def test_a_late_rollback_begins_no_phase_for_a_secret_that_was_deleted(rotation: Rotation, account: Account) -> None:
    pend(rotation)
    rotation.begin(number="late", withdraw=True).check()
    rotation.withdraw()
    rotation.record("withdrawn")
    account.secretsmanager.delete_secret(SecretId=rotation.secret, ForceDeleteWithoutRecovery=True)

    rotation.undo()

    assert phase(rotation) is None


@pytest.mark.parametrize("status", ["active", "revoked"])
def test_a_withdrawal_reports_the_status_of_the_access(rotation: Rotation, status: str) -> None:
    """A sweep can have observed another one while the rotation was pending."""
    pend(rotation)
    record = registry().accesses.get(rotation.access_id)
    assert record
    registry().accesses.record_status(record, status, [])  # type: ignore[arg-type]
    rotation.begin(number="end", withdraw=True).check()
    rotation.withdraw()

    assert rotation.record("withdrawn")["result"]["status"] == status
