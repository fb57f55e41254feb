"""What is known about the findings of an access: since when, what was tried, and what comes back after each repair."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from latchkey.access.findings import Finding, FindingKind, finding
from latchkey.access.findings.known import FLAPPING_PERIOD, FLAPPING_REPAIRS, KnownFindings, known_findings, seen_findings
from latchkey.events.cleanup import TrailEvent
from tests.unit.rules.samples import record

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LOST = finding(FindingKind.KEY_STATEMENT_MISSING, "lacks a statement")
FOREIGN = finding(FindingKind.SECRET_POLICY_PUBLIC, "allows everyone")
BLOCKING = finding(FindingKind.SECRET_UNDER_OTHER_KEY, "is under another key")
RECORD = record()


def seen(*found: Finding, former: KnownFindings | None = None, now: datetime = NOW, **changes: Any) -> KnownFindings:
    known: dict[str, Any] = {"record": RECORD, "recorded_at": NOW - 30 * HOUR, "mode": "repair"} | changes
    return known_findings(found, former, known["record"], known["recorded_at"], known["mode"], now)


def repaired(times: int, every: timedelta = HOUR) -> KnownFindings:
    """The access after a finding was repaired several times and came back."""
    known = seen(LOST)
    for number in range(times):
        at = NOW + number * every
        known = seen(LOST, former=known, now=at).attempted(f"repair-{number}", at)
    return known


def test_only_what_a_repair_corrects_is_due() -> None:
    known = seen(LOST, FOREIGN)

    assert known.due == (LOST.kind.value,)
    assert [one.kind for one in known.due_findings] == [LOST.kind]


def test_nothing_is_due_while_a_person_has_to_act_first() -> None:
    assert seen(LOST, BLOCKING).due == ()


def test_nothing_is_due_in_an_audit() -> None:
    assert seen(LOST, mode="audit").due == ()


@pytest.mark.parametrize("status", ["unmanaged", "detached", "gone"])
def test_nothing_is_due_for_an_access_that_is_not_repaired(status: str) -> None:
    assert seen(LOST, record=replace(RECORD, status=status)).due == ()


def test_a_finding_keeps_the_time_at_which_it_was_first_seen() -> None:
    first = seen(LOST)

    [again] = seen(LOST, former=first, now=NOW + HOUR).findings

    assert again.since == NOW


def test_another_state_is_another_finding() -> None:
    first = seen(LOST)

    [other] = seen(finding(LOST.kind, "lacks two statements"), former=first, now=NOW + HOUR).findings

    assert other.since == NOW + HOUR


def test_the_time_and_the_principal_of_a_trail_event_are_kept() -> None:
    event = TrailEvent(eventId="event-1", eventName="PutKeyPolicy", eventTime=NOW - HOUR, principal="somebody")
    known = {"since": event.event_time, "trail_event_id": event.event_id, "principal": event.principal}
    first = seen(LOST.model_copy(update=known))

    [again] = seen(LOST, former=first, now=NOW + HOUR).findings

    assert (again.since, again.trail_event_id, again.principal) == (NOW - HOUR, "event-1", "somebody")


def test_a_finding_that_comes_back_after_several_repairs_is_not_repaired_any_more() -> None:
    assert seen(LOST, former=repaired(FLAPPING_REPAIRS - 1), now=NOW + 2 * HOUR).due == (LOST.kind.value,)

    known = seen(LOST, former=repaired(FLAPPING_REPAIRS), now=NOW + 3 * HOUR)

    assert (known.due, [*known.flapping]) == ((), [LOST.kind.value])


def test_a_flapping_finding_stays_unrepaired_as_long_as_it_is_there() -> None:
    known = repaired(FLAPPING_REPAIRS)
    for hours in range(3, 80):
        known = seen(LOST, former=known, now=NOW + hours * HOUR)

    assert (known.due, [*known.flapping]) == ((), [LOST.kind.value])


def test_a_flapping_finding_is_repaired_again_after_it_was_absent_for_a_day() -> None:
    known = seen(LOST, former=repaired(FLAPPING_REPAIRS), now=NOW + 3 * HOUR)
    absent = seen(former=known, now=NOW + 4 * HOUR)
    assert [*absent.flapping] == [LOST.kind.value]
    absent = seen(former=absent, now=NOW + 3 * HOUR + FLAPPING_PERIOD)
    assert [*absent.flapping] == []

    assert seen(LOST, former=absent, now=NOW + 28 * HOUR).due == (LOST.kind.value,)


def test_other_findings_of_an_access_with_a_flapping_one_are_not_repaired_either() -> None:
    other = finding(FindingKind.KEY_ROTATION_OFF, "rotation is off")

    assert seen(LOST, other, former=repaired(FLAPPING_REPAIRS), now=NOW + 3 * HOUR).due == ()


def test_repairs_over_several_days_are_not_flapping() -> None:
    known = repaired(FLAPPING_REPAIRS, every=FLAPPING_PERIOD)

    assert seen(LOST, former=known, now=NOW + 3 * FLAPPING_PERIOD).due == (LOST.kind.value,)


def test_an_onboarding_request_starts_afresh_and_a_repair_does_not() -> None:
    known = repaired(FLAPPING_REPAIRS)
    at = NOW + 3 * HOUR
    by_repair = replace(RECORD, request_id="repair-2")

    assert seen(LOST, former=known, now=at, record=by_repair, recorded_at=at).due == ()
    assert seen(LOST, former=known, now=at, recorded_at=at).due == (LOST.kind.value,)
    assert seen(LOST, former=known, now=at, recorded_at=None).due == ()


def test_a_repair_that_was_started_since_is_known() -> None:
    known = seen(LOST)

    assert not known.is_attempted
    assert known.attempted("repair-1", NOW + HOUR).is_attempted
    assert known.attempted("repair-1", NOW + HOUR).attempts["repair-1"].kinds == (LOST.kind.value,)


def test_what_is_never_repaired_keeps_its_time_and_has_nothing_due() -> None:
    arn = "arn:aws:kms:us-east-1:123456789012:key/1"
    first = seen_findings(arn, [LOST], None, NOW)
    second = seen_findings(arn, [LOST, FOREIGN], first, NOW + HOUR)

    assert [one.since for one in second.findings] == [NOW, NOW + HOUR]
    assert (second.due, second.seen_at, second.is_of_resource) == ((), NOW + HOUR, True)
    assert not seen(LOST).is_of_resource
