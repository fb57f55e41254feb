"""The catalog of findings, and what is derived from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from latchkey.access.findings import CATALOG, Finding, FindingKind, attributed, due_repairs, finding, identity_of, unresolved
from latchkey.cleanup.trail_events import SOURCES
from latchkey.events.cleanup import TrailEvent
from latchkey.events.outcomes import Check

AT = datetime(2026, 11, 27, 10, tzinfo=UTC)


def trail_event(name: str, principal: str | None = "arn:aws:iam::111122223333:role/Admin") -> TrailEvent:
    return TrailEvent(eventId="event-1", eventName=name, eventTime=AT, principal=principal)


def test_every_kind_is_in_the_catalog() -> None:
    assert [*CATALOG] == [*FindingKind]


def test_what_is_foreign_or_lost_is_never_repaired() -> None:
    never = {kind.value for kind, facts in CATALOG.items() if facts.remediation == "never"}

    assert never >= {
        "key-missing",
        "secret-missing",
        "secret-replaced",
        "resource-missing",
        "resource-other-secret",
        "resource-no-token",
        "role-foreign-policy",
        "secret-policy-public",
        "secret-policy-admits-others",
    }


def test_a_kind_that_is_repaired_blocks_no_repair() -> None:
    assert not [kind for kind, facts in CATALOG.items() if facts.remediation == "repair" and facts.blocks_repair]


def test_trail_operations_are_those_that_reach_latchkey() -> None:
    known = frozenset().union(*(source.operations for source in SOURCES.values()))

    assert {operation for facts in CATALOG.values() for operation in facts.trail_operations} <= known


@pytest.mark.parametrize("kind", FindingKind)
def test_a_finding_has_the_members_of_a_failed_check(kind: FindingKind) -> None:
    made = finding(kind, "what was read")

    assert (
        made.model_dump(mode="json", by_alias=True).items()
        >= {
            "kind": kind.value,
            "name": CATALOG[kind].name,
            "passed": False,
            "evidence": "what was read",
            "result": "failed",
        }.items()
    )
    assert Check(made.name, made.passed, made.evidence).result == made.result
    assert Finding.model_validate_json(made.model_dump_json(by_alias=True)) == made


def test_a_trail_event_dates_what_its_call_can_have_caused() -> None:
    found = [finding(FindingKind.KEY_DISABLED, "disabled"), finding(FindingKind.ROLE_MISSING, "missing")]

    disabled, missing = attributed(found, trail_event("DisableKey"))

    assert (disabled.since, disabled.trail_event_id) == (AT, "event-1")
    assert disabled.principal == "arn:aws:iam::111122223333:role/Admin"
    assert missing == found[1]
    assert attributed(found, None) == (*found,)


def test_a_finding_is_identified_by_its_kind_and_evidence() -> None:
    one = finding(FindingKind.KEY_DISABLED, "disabled")

    assert attributed([one], trail_event("DisableKey"))[0].identity == one.identity
    assert finding(FindingKind.KEY_DISABLED, "unavailable").identity != one.identity


def test_a_repair_waits_for_a_finding_that_a_person_must_correct() -> None:
    off, foreign = finding(FindingKind.KEY_ROTATION_OFF, "off"), finding(FindingKind.SECRET_POLICY_PUBLIC, "public")

    assert due_repairs([off, foreign]) == (off,)
    assert due_repairs([off, finding(FindingKind.KEY_ALIAS_MOVED, "moved")]) == ()
    assert due_repairs([foreign]) == ()


@pytest.mark.parametrize(
    "blocking",
    [
        finding(FindingKind.KEY_STATEMENT_ALTERED, "a Deny statement", remediation="tell"),
        finding(FindingKind.ROLE_REPLACED, "without our tag", remediation="tell"),
        finding(FindingKind.SECRET_POLICY_EXCLUDES_READER, "denied"),
    ],
)
def test_a_repair_waits_for_what_its_rules_would_reject(blocking: Finding) -> None:
    assert due_repairs([finding(FindingKind.KEY_ROTATION_OFF, "off"), blocking]) == ()


def test_the_statements_of_a_public_policy_wait_until_it_is_not_public() -> None:
    lost, public = finding(FindingKind.SECRET_STATEMENT_MISSING, "lost"), finding(FindingKind.SECRET_POLICY_PUBLIC, "public")

    assert due_repairs([lost, public]) == ()


def test_an_owner_who_configures_the_resource_blocks_no_repair() -> None:
    off = finding(FindingKind.KEY_ROTATION_OFF, "off")
    header = finding(FindingKind.RESOURCE_OTHER_HEADER, "other", remediation="tell")

    assert due_repairs([off, header]) == (off,)


NARROW = Check("role reads this secret and nothing else", False, "has Theirs")
FOREIGN = finding(FindingKind.ROLE_FOREIGN_POLICY, "has Theirs")
BOUNDARY = finding(FindingKind.ROLE_BOUNDARY_CHANGED, "no boundary")


def test_a_check_that_fails_for_a_known_reason_does_not_hold_up_a_repair() -> None:
    assert unresolved([NARROW], [FOREIGN], known=[FOREIGN]) == ()
    assert unresolved([replace(NARROW, passed=True)], [], known=[]) == ()


def test_a_check_that_fails_for_a_new_reason_does() -> None:
    assert unresolved([NARROW], [FOREIGN], known=[]) == (NARROW,)
    assert unresolved([NARROW], [], known=[FOREIGN]) == (NARROW,)


def test_a_check_that_also_fails_for_what_a_repair_corrects_does() -> None:
    assert unresolved([NARROW], [FOREIGN, BOUNDARY], known=[FOREIGN]) == (NARROW,)


def test_what_a_repair_corrects_holds_it_up_without_a_check() -> None:
    outdated, off = finding(FindingKind.KEY_STATEMENT_OUTDATED, "old"), finding(FindingKind.KEY_ROTATION_OFF, "off")

    statements, rotation = unresolved([], [outdated, off], known=[])

    assert (statements.name, statements.evidence, statements.overwritten) == (outdated.name, "old", True)
    assert (rotation.name, rotation.overwritten) == (off.name, False)


def test_the_identity_of_findings_depends_on_their_evidence_and_not_on_their_order() -> None:
    off, other = finding(FindingKind.KEY_ROTATION_OFF, "off"), finding(FindingKind.KEY_ROTATION_OFF, "still off")

    assert identity_of([off, FOREIGN]) == identity_of([FOREIGN, off])
    assert identity_of([off]) != identity_of([other])
