"""The registry: observed states, what was given up, and the keys on which a service may hold a grant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from latchkey.errors import TransientAwsError
from latchkey.registry import Registry
from tests.unit.samples import EXECUTION_ARN, KEY_ARN
from tests.unit.test_registry import ACCESS, RECORD, WANTED


def test_a_state_is_written_over_the_version_it_was_seen_with(registry: Registry) -> None:
    saved = registry.save_access(RECORD, WANTED)
    registry.set_state(saved, "revoked", ["key is enabled"])

    changed = registry.access(ACCESS)
    assert changed == replace(saved, status="revoked", version=saved.version + 1)
    assert registry.lost(ACCESS) == ("key is enabled",)
    with pytest.raises(TransientAwsError, match="written by somebody else"):
        registry.set_state(saved, "active", [])
    assert registry.access(ACCESS) == changed


def test_a_request_that_is_fulfilled_forgets_what_was_lost_and_given_up(registry: Registry) -> None:
    saved = registry.save_access(RECORD, WANTED)
    registry.give_up(saved, ["a key: our statements"])
    given_up = registry.access(ACCESS)
    assert (registry.is_given_up(ACCESS), given_up and given_up.status) == (True, "unmanaged")
    assert given_up
    registry.set_state(given_up, "revoked", ["grant is there"])
    assert registry.is_given_up(ACCESS)

    registry.save_access(replace(given_up, version=given_up.version + 1), WANTED)

    assert (registry.is_given_up(ACCESS), registry.lost(ACCESS)) == (False, ())


def test_keys_on_which_there_may_be_a_grant_are_remembered_until_there_is_none(registry: Registry) -> None:
    former = f"{KEY_ARN}0"
    registry.begin_access(ACCESS, WANTED, EXECUTION_ARN)
    registry.note_former(ACCESS, None, former)
    registry.forget_grant_key(ACCESS, former)
    assert (registry.is_running(ACCESS), registry.grant_keys(ACCESS)) == (True, frozenset({former}))

    registry.end_access(ACCESS, EXECUTION_ARN)
    registry.save_access(RECORD, WANTED)
    assert (registry.is_running(ACCESS), registry.grant_keys(ACCESS)) == (False, frozenset({former, KEY_ARN}))
    registry.forget_grant_key(ACCESS, former)
    registry.forget_grant_key(ACCESS, KEY_ARN)

    assert registry.grant_keys(ACCESS) == {KEY_ARN}
