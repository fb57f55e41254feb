"""Revocations are opened once, ended once, and reopened only by later findings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from latchkey.events.cleanup import KeptGrant
from latchkey.events.outcomes import RemovedGrant
from latchkey.registry import Registry
from latchkey.registry.revocations import Ended, Revocation, Revocations
from latchkey.registry.table import Table
from tests import dynamodb
from tests.unit.samples import KEY_ARN, SECRET_ARN

ACCESS = "mediatailor/sourceLocation/sports"
NOTED = Revocation(ACCESS, "g-1", KEY_ARN, "it is absent", SECRET_ARN)
NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1)
KEPT = KeptGrant(grantId="g-1", keyArn=KEY_ARN, reason="it is back")
GONE = RemovedGrant(keyArn=KEY_ARN, removedBy="latchkey", reason="it is absent", evidence=(), removedAt=NOW)


@pytest.fixture
def revocations(registry: Registry) -> Revocations:
    """On the empty table of the fixture `registry`."""
    return Revocations(Table(dynamodb.client(), "accesses"))


@pytest.fixture
def noted(revocations: Revocations) -> Revocation:
    revocations.note(NOTED, "look-1", NOW)
    [made] = revocations.open(ACCESS)
    return made


def test_a_noted_revocation_is_open(revocations: Revocations, noted: Revocation) -> None:
    assert noted == NOTED

    revocations.note(replace(NOTED, reason="its secret is absent"), "look-2", NOW)

    assert revocations.open() == [noted]


def test_accesses_with_the_same_prefix_have_separate_revocations(revocations: Revocations, noted: Revocation) -> None:
    revocations.note(replace(NOTED, access_id=f"{ACCESS}-2"), "look-1", NOW)

    assert revocations.open(ACCESS) == [noted]
    assert [one.access_id for one in revocations.open()] == [ACCESS, f"{ACCESS}-2"]


def test_attempts_are_counted_and_reset(revocations: Revocations, noted: Revocation) -> None:
    begun = [revocations.begin(noted), revocations.begin(noted)]
    assert [one.tries for one in begun if one] == [1, 2]
    revocations.note_denied(noted)
    assert revocations.read(noted) == replace(NOTED, tries=1)

    revocations.confirm(noted)
    revocations.note(NOTED, "look-2", LATER)

    assert revocations.read(noted) == replace(NOTED, tries=1, revoked=True)


def test_the_first_end_of_a_revocation_counts(revocations: Revocations, noted: Revocation) -> None:
    revocations.end(noted, "look-1", GONE, gone=True, by_us=True)
    revocations.end(noted, "look-2", KEPT, gone=False, by_us=False)

    assert revocations.ended(ACCESS, "look-1") == Ended((GONE.model_dump_json(by_alias=True),), restored=False)
    assert revocations.ended(ACCESS, "look-2") == Ended((), restored=False)
    assert revocations.open() == []


def test_an_ended_revocation_is_not_changed(revocations: Revocations, noted: Revocation) -> None:
    revocations.end(noted, "look-1", GONE, gone=True, by_us=True)

    assert revocations.begin(noted) is None
    for note in (revocations.note_denied, revocations.confirm, revocations.mark_irrevocable):
        note(noted)

    assert revocations.read(noted).revoked is False


def test_a_restored_resource_is_reported_at_the_end(revocations: Revocations, noted: Revocation) -> None:
    revocations.note_restoring(noted, "look-1")
    revocations.end(noted, "look-1", GONE, gone=True, by_us=True)

    assert revocations.ended(ACCESS, "look-1").restored is True


def test_a_restored_resource_is_reported_after_a_retry(revocations: Revocations, noted: Revocation) -> None:
    revocations.note_restoring(noted, "look-1")
    revocations.note(NOTED, "look-1", NOW)
    revocations.end(noted, "look-2", GONE, gone=True, by_us=True)

    assert [revocations.ended(ACCESS, look).restored for look in ("look-1", "look-2", "look-3")] == [True, True, False]


def test_a_restored_resource_is_reported_although_another_survey_closed_the_revocation(
    revocations: Revocations, noted: Revocation
) -> None:
    revocations.end(noted, "look-2", GONE, gone=True, by_us=True)
    revocations.note_restoring(noted, "look-1")
    revocations.note(NOTED, "look-3", LATER)

    assert [revocations.ended(ACCESS, look).restored for look in ("look-1", "look-3")] == [True, False]


@pytest.mark.parametrize(
    ("gone", "look", "seen", "opens"),
    [
        (True, "look-1", NOW, False),
        (True, "look-2", NOW, False),
        (True, "look-2", LATER, True),
        (False, "look-1", NOW, False),
        (False, "look-2", NOW, True),
    ],
    ids=["the same survey", "found before it ended", "found later", "kept by the same survey", "kept by another survey"],
)
def test_a_later_finding_reopens_an_ended_revocation(
    revocations: Revocations, noted: Revocation, gone: bool, look: str, seen: datetime, opens: bool
) -> None:
    revocations.begin(noted)
    revocations.note_restoring(noted, "look-1")
    revocations.end(noted, "look-1", GONE if gone else KEPT, gone=gone, by_us=gone)

    again = replace(NOTED, reason="its secret is absent or being deleted")
    revocations.note(again, look, seen)

    assert revocations.open() == ([again] if opens else [])
    assert len(revocations.ended(ACCESS, "look-1").outcomes) == (0 if opens else 1)


def test_a_failed_revocation_stays_open(revocations: Revocations, noted: Revocation) -> None:
    revocations.mark_irrevocable(noted)

    [marked] = revocations.open()
    assert marked == replace(noted, irrevocable_since=marked.irrevocable_since)
    assert marked.irrevocable


def test_the_time_of_the_first_failure_stays(revocations: Revocations, noted: Revocation) -> None:
    revocations.note_failure(noted, "AccessDenied", "denied")
    first = revocations.mark_irrevocable(noted)

    again = revocations.mark_irrevocable(noted)

    assert first
    assert again == first
    assert first.failure == ("AccessDenied", "denied")
