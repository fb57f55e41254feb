"""The registry: observed states, what was given up, and the keys on which a service may hold a grant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from latchkey import registry as registering
from latchkey.registry import Registry
from latchkey.states import TELLING, Change, States
from latchkey.table import Table
from tests.unit.samples import EXECUTION_ARN, KEY_ARN
from tests.unit.test_registry import ACCESS, RECORD, WANTED

CHANGE = Change(kind="Access Revoked", detail="{}", executionArn=EXECUTION_ARN, at=datetime.now(UTC))


@pytest.fixture
def states(registry: Registry) -> States:
    """On the table of the fixture `registry`."""
    return States(Table(boto3.client("dynamodb"), "accesses"))


def test_a_state_is_written_over_the_version_it_was_seen_with(registry: Registry, states: States) -> None:
    saved = registry.save_access(RECORD, WANTED)
    states.record(saved, "revoked", ["key is enabled"])

    changed = registry.access(ACCESS)
    assert changed == replace(saved, status="revoked", version=saved.version + 1)
    assert states.lost(ACCESS) == ("key is enabled",)
    states.record(saved, "active", [], CHANGE)
    assert (registry.access(ACCESS), states.untold(ACCESS)) == (changed, [])


def test_a_change_stays_untold_until_it_is_told(registry: Registry, states: States) -> None:
    other = CHANGE.model_copy(update={"kind": "Access Restored"})
    states.record(registry.save_access(RECORD, WANTED), "revoked", [], CHANGE)
    seen = registry.access(ACCESS)
    assert seen
    states.record(seen, "active", [], other)
    assert [known.untold for known in registry.accesses()] == [True]

    states.note_told(ACCESS, CHANGE)
    states.note_told(ACCESS, CHANGE)
    assert states.untold(ACCESS) == [other]
    states.note_told(ACCESS, other)

    assert (states.untold(ACCESS), [known.untold for known in registry.accesses()]) == ([], [False])


def test_a_change_is_told_by_its_execution_and_long_after_by_any() -> None:
    soon, late = (CHANGE.at + TELLING + timedelta(seconds=seconds) for seconds in (-1, 1))

    assert [CHANGE.is_for(EXECUTION_ARN, soon), CHANGE.is_for("another", soon), CHANGE.is_for("another", late)] == [
        True,
        False,
        True,
    ]


def test_a_request_that_is_fulfilled_forgets_what_was_lost_and_given_up(registry: Registry, states: States) -> None:
    saved = registry.save_access(RECORD, WANTED)
    registry.give_up(saved, ["a key: our statements"])
    given_up = registry.access(ACCESS)
    assert (registry.is_given_up(ACCESS), given_up and given_up.status) == (True, "unmanaged")
    assert given_up
    states.record(given_up, "revoked", ["grant is there"])
    assert registry.is_given_up(ACCESS)

    registry.save_access(replace(given_up, version=given_up.version + 1), WANTED)

    assert (registry.is_given_up(ACCESS), states.lost(ACCESS)) == (False, ())


def test_keys_on_which_there_may_be_a_grant_are_remembered_until_there_is_none(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = f"{KEY_ARN}0"
    registry.begin_access(ACCESS, EXECUTION_ARN)
    registry.note_former(ACCESS, None, former)
    registry.forget_grant_key(ACCESS, former)
    assert (registry.is_running(ACCESS), registry.grant_keys(ACCESS)) == (True, frozenset({former}))

    registry.end_access(ACCESS, EXECUTION_ARN)
    registry.save_access(RECORD, WANTED)
    registry.forget_grant_key(ACCESS, former)  # KMS may not list yet what the request had made
    assert (registry.is_running(ACCESS), registry.grant_keys(ACCESS)) == (False, frozenset({former, KEY_ARN}))

    monkeypatch.setattr(registering, "UNLISTED", timedelta(seconds=-5))
    registry.forget_grant_key(ACCESS, former)
    registry.forget_grant_key(ACCESS, KEY_ARN)

    assert registry.grant_keys(ACCESS) == {KEY_ARN}
