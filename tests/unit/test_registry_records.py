"""Records without a secret or a known resource, and the keys of partners."""

from __future__ import annotations

from dataclasses import replace

import pytest

from latchkey.access.record import AccessRecord
from latchkey.registry import Registry
from tests.unit.samples import KEY_ARN
from tests.unit.test_registry import ACCESS, OTHER_WANTED, RECORD, WANTED, item

WITHOUT_SECRET = replace(RECORD, secret_arn=None, resource_arn=None, status="handed-off", reached="handed-off")


def test_an_access_without_a_secret_is_recorded_without_one(registry: Registry) -> None:
    saved = registry.accesses.save(WITHOUT_SECRET, WANTED)
    assert registry.accesses.get(ACCESS) == saved == replace(WITHOUT_SECRET, version=1)
    assert {"secretArn", "resourceArn"} & set(item("access", ACCESS)) == set()


@pytest.mark.parametrize(("first", "second"), [(RECORD, WITHOUT_SECRET), (WITHOUT_SECRET, RECORD)])
def test_members_missing_in_a_later_record_are_removed_and_restored(
    registry: Registry, first: AccessRecord, second: AccessRecord
) -> None:
    before = registry.accesses.save(first, WANTED)
    snapshot = registry.accesses.snapshot(ACCESS)
    after = registry.accesses.save(replace(second, request_id="request-2", version=before.version), OTHER_WANTED)
    assert registry.accesses.get(ACCESS) == after == replace(second, request_id="request-2", version=2)
    registry.accesses.restore(ACCESS, "request-2", snapshot)
    assert registry.accesses.get(ACCESS) == replace(first, version=3)


def test_observations_do_not_change_the_status_that_a_request_reached(registry: Registry) -> None:
    saved = registry.accesses.save(replace(RECORD, reached="handed-off", status="revoked"), WANTED)
    registry.accesses.mark_unmanaged(saved, ["a statement"])
    found = registry.accesses.get(ACCESS)
    assert found
    assert (found.reached, found.status) == ("handed-off", "unmanaged")


@pytest.mark.parametrize(
    ("access_id", "exclusive"), [("adobe-experience-platform/instance/eu-west-1", True), (ACCESS, False), (None, False)]
)
def test_keys_of_partners_are_distinguished_from_other_keys(registry: Registry, access_id: str | None, exclusive: bool) -> None:
    if access_id:
        registry.resources.refer(KEY_ARN, access_id)
    assert registry.resources.exclusive_keys([KEY_ARN, f"{KEY_ARN}-2"]) == (frozenset({KEY_ARN}) if exclusive else frozenset())


OTHER_KEY = f"{KEY_ARN}-2"


def test_the_former_key_of_a_moved_secret_is_kept_until_the_access_has_left_it(registry: Registry) -> None:
    first = registry.accesses.save(RECORD, WANTED)
    registry.phases.begin(ACCESS, "moving", "request-2")
    snapshot = registry.accesses.snapshot(ACCESS)
    moved = registry.accesses.save(replace(first, key_arn=OTHER_KEY, request_id="request-2"), OTHER_WANTED)

    assert registry.phases.get(ACCESS) is None
    [left] = registry.accesses.left_keys(ACCESS)
    assert (left.key_arn, left.request.request_id) == (KEY_ARN, WANTED["requestId"])
    assert [known.leaves_keys for known in registry.accesses.all()] == [True]
    registry.accesses.save(replace(moved, status="revoked"), OTHER_WANTED)
    assert len(registry.accesses.left_keys(ACCESS)) == 1

    registry.accesses.note_key_left(ACCESS, KEY_ARN)
    registry.accesses.note_key_left(ACCESS, KEY_ARN)
    assert registry.accesses.left_keys(ACCESS) == []
    assert registry.accesses.restore(ACCESS, "request-2", snapshot)
    assert registry.accesses.left_keys(ACCESS) == []


def test_a_key_to_which_the_secret_returns_is_not_left(registry: Registry) -> None:
    first = registry.accesses.save(RECORD, WANTED)
    moved = registry.accesses.save(replace(first, key_arn=OTHER_KEY), OTHER_WANTED)
    registry.accesses.save(replace(moved, key_arn=KEY_ARN), WANTED)
    assert [one.key_arn for one in registry.accesses.left_keys(ACCESS)] == [OTHER_KEY]


def test_several_former_keys_are_left_one_by_one(registry: Registry) -> None:
    first = registry.accesses.save(RECORD, WANTED)
    second = registry.accesses.save(replace(first, key_arn=OTHER_KEY), OTHER_WANTED)
    registry.accesses.save(replace(second, key_arn=f"{KEY_ARN}-3"), OTHER_WANTED)
    registry.accesses.note_key_left(ACCESS, KEY_ARN)
    assert [one.key_arn for one in registry.accesses.left_keys(ACCESS)] == [OTHER_KEY]


def test_another_secret_under_another_key_leaves_nothing(registry: Registry) -> None:
    first = registry.accesses.save(RECORD, WANTED)
    registry.accesses.save(replace(first, key_arn=OTHER_KEY, secret_arn=f"{RECORD.secret_arn}-2"), OTHER_WANTED)
    assert registry.accesses.left_keys(ACCESS) == []
