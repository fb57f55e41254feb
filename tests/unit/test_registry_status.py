"""Observed status of accesses, unpublished events, and keys that can have grants."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from latchkey.access.findings import FindingKind, finding
from latchkey.registry import Registry, grant_keys
from latchkey.registry.accesses import PUBLISHING_PERIOD, StatusChange
from latchkey.registry.sweeps import SweepState
from tests.unit.samples import EXECUTION_ARN, KEY_ARN, detail
from tests.unit.test_registry import ACCESS, RECORD, WANTED

CHANGE = StatusChange(kind="Access Revoked", detail="{}", executionArn=EXECUTION_ARN, at=datetime.now(UTC))


def test_a_status_is_written_only_over_the_observed_version(registry: Registry) -> None:
    saved = registry.accesses.save(RECORD, WANTED)
    registry.accesses.record_status(saved, "revoked", ["key is enabled"])

    changed = registry.accesses.get(ACCESS)
    assert changed == replace(saved, status="revoked", version=saved.version + 1)
    assert registry.accesses.failed_checks(ACCESS) == ("key is enabled",)
    registry.accesses.record_status(saved, "active", [], changes=[CHANGE])
    assert (registry.accesses.get(ACCESS), registry.accesses.unpublished(ACCESS)) == (changed, [])


def test_a_change_stays_unpublished_until_it_is_published(registry: Registry) -> None:
    other = CHANGE.model_copy(update={"kind": "Access Restored"})
    registry.accesses.record_status(registry.accesses.save(RECORD, WANTED), "revoked", [], changes=[CHANGE])
    seen = registry.accesses.get(ACCESS)
    assert seen
    registry.accesses.record_status(seen, "active", [], changes=[other])
    assert [known.unpublished for known in registry.accesses.all()] == [True]

    registry.accesses.note_published(ACCESS, CHANGE)
    registry.accesses.note_published(ACCESS, CHANGE)
    assert registry.accesses.unpublished(ACCESS) == [other]
    registry.accesses.note_published(ACCESS, other)

    assert (registry.accesses.unpublished(ACCESS), [known.unpublished for known in registry.accesses.all()]) == ([], [False])


def test_a_change_is_published_by_its_execution_and_later_by_any() -> None:
    soon, late = (CHANGE.at + PUBLISHING_PERIOD + timedelta(seconds=seconds) for seconds in (-1, 1))

    assert [CHANGE.is_for(EXECUTION_ARN, soon), CHANGE.is_for("another", soon), CHANGE.is_for("another", late)] == [
        True,
        False,
        True,
    ]


def test_a_successful_request_clears_lost_and_unmanaged_notes(registry: Registry) -> None:
    saved = registry.accesses.save(RECORD, WANTED)
    registry.accesses.mark_unmanaged(saved, ["a key: our statements"])
    given_up = registry.accesses.get(ACCESS)
    assert (registry.accesses.is_unmanaged(ACCESS), given_up and given_up.status) == (True, "unmanaged")
    assert given_up
    registry.accesses.record_status(given_up, "revoked", ["grant is there"])
    assert registry.accesses.is_unmanaged(ACCESS)

    registry.accesses.save(replace(given_up, version=given_up.version + 1), WANTED)

    assert (registry.accesses.is_unmanaged(ACCESS), registry.accesses.failed_checks(ACCESS)) == (False, ())


def test_an_unmanaged_access_has_no_findings(registry: Registry) -> None:
    """The sweep counts findings for an alarm, and nothing looks at an unmanaged access again."""
    saved = registry.accesses.save(RECORD, WANTED)
    registry.accesses.record_status(saved, "active", [], [finding(FindingKind.KEY_STATEMENT_MISSING, "is missing")])
    drifted = registry.accesses.get(ACCESS)
    assert drifted

    registry.accesses.mark_unmanaged(drifted, ["a key: our statements"])

    assert [known.findings for known in registry.accesses.all()] == [()]


def test_a_sweep_that_saw_too_many_accesses_not_in_use_records_no_times(registry: Registry) -> None:
    """An item of DynamoDB has at most 400 KB. A key that many accesses share can become unreadable."""
    began = datetime.now(UTC)
    state = SweepState(began, {f"mediatailor/sourceLocation/{number:0128}": began for number in range(3_000)})
    registry.sweeps.complete(SweepState(began, {ACCESS: began}))

    registry.sweeps.complete(state)

    assert (registry.sweeps.state().in_use_at(ACCESS), registry.sweeps.state()) == (None, SweepState())


def test_keys_that_can_have_grants_are_noted_until_they_have_none(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    former = f"{KEY_ARN}0"
    registry.locks.lock(ACCESS, EXECUTION_ARN)
    registry.granted.note(ACCESS, former)
    registry.granted.forget(ACCESS, former)
    assert (registry.locks.is_locked(ACCESS), registry.granted.of(ACCESS)) == (True, frozenset({former}))

    registry.locks.unlock(ACCESS, EXECUTION_ARN)
    registry.accesses.save(RECORD, WANTED)
    registry.granted.forget(ACCESS, former)  # KMS can list the grants of the request later
    assert (registry.locks.is_locked(ACCESS), registry.granted.of(ACCESS)) == (False, frozenset({former, KEY_ARN}))

    monkeypatch.setattr(grant_keys, "UNLISTED", timedelta(seconds=-5))
    registry.granted.forget(ACCESS, former)
    registry.granted.forget(ACCESS, KEY_ARN)

    assert registry.granted.of(ACCESS) == {KEY_ARN}


def test_a_recorded_request_that_is_no_longer_offered_is_read(registry: Registry) -> None:
    """Earlier versions generated SRT passwords of 80 characters, and a sweep reads the request of every access."""
    wanted = detail({"secret.value.generate": {"length": 80}}, "mediaconnect-srt-password")
    registry.accesses.save(RECORD, wanted)

    [known] = registry.accesses.all()

    assert known.request
    assert known.request == registry.accesses.recorded_request(ACCESS)
    assert (known.findings, known.recorded_at) == ((), registry.accesses.recorded_at(ACCESS))
