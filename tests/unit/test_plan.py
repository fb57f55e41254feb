"""A plan is the same for the same world, in whatever order AWS returns it, and says what differs in another one."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from latchkey.access.plan import (
    Change,
    MissingPermission,
    Plan,
    SettingChange,
    change_of_policy,
    changes_of_settings,
    count_calls,
    differences,
    digest,
    plan_of,
)
from latchkey.access.prices import monthly_cost

ROOT, OTHER = "arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:role/Other"
KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def statement(sid: str | None, *principals: str, **members: Any) -> dict[str, Any]:
    named = {"Sid": sid} if sid else {}
    return {**named, "Effect": "Allow", "Principal": {"AWS": [*principals]}, "Action": ["kms:A", "kms:B"], **members}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [*statements]}


def plan(
    request: object = "request",
    reads: Mapping[str, object] | None = None,
    changes: tuple[Change, ...] = (),
    operations: tuple[str, ...] = (),
    permissions: tuple[MissingPermission, ...] = (),
) -> Plan:
    return plan_of(request, reads or {}, changes, operations, permissions)


@dataclass(frozen=True)
class Seen:
    policy: dict[str, Any]
    members: frozenset[str]
    at: datetime | None = None


def test_equal_values_have_equal_digests_in_any_order() -> None:
    one, other = statement("One", ROOT, OTHER), statement("Other", ROOT)
    turned = one | {"Principal": {"AWS": [OTHER, "111122223333"]}, "Action": ["kms:B", "kms:A"]}
    lone = other | {"Principal": {"AWS": ROOT}}

    assert digest(document(one, other)) == digest(document(lone, turned))
    assert digest({"policy": json.dumps(document(one, other))}) == digest({"policy": json.dumps(document(lone, turned))})
    assert digest(["b", {"a": 1, "b": [2, 3]}]) == digest([{"b": [3, 2], "a": 1}, "b"])
    assert digest(SettingChange(name="a", before=["b", "c"])) == digest(SettingChange(name="a", before=["c", "b"]))
    assert digest(Seen(document(one), frozenset("ab"))) == digest(Seen(document(turned), frozenset("ba")))


def test_times_do_not_count() -> None:
    read = Seen(document(), frozenset(), datetime.now(UTC))

    assert digest(read) == digest(Seen(document(), frozenset()))


@pytest.mark.parametrize("text", ["{", "{}", "plain", '{"Statement', '["Statement"]'])
def test_a_text_that_is_no_policy_counts_as_it_is(text: str) -> None:
    assert digest(text) != digest(f"{text} ")


def test_other_values_have_other_digests() -> None:
    values = [None, "", "a", 1, True, [], ["a"], ["a", "a"], {"a": 1}, document(), document(statement("A", ROOT))]

    assert all(digest(one) != digest(other) for one, other in itertools.combinations(values, 2))


def test_a_policy_changes_by_statements() -> None:
    kept, gone, narrow, wide = (
        statement("Kept", ROOT),
        statement("Gone", ROOT),
        statement("W", ROOT),
        statement("W", ROOT, OTHER),
    )
    new = statement("New", OTHER)
    found = change_of_policy("key policy", document(kept, gone, narrow), document(wide, new, kept))

    assert found is not None
    assert (found.name, found.added, found.removed) == ("key policy", (new,), (gone,))
    assert [(one.before, one.after) for one in found.changed] == [(narrow, wide)]


def test_statements_without_a_unique_sid_are_added_and_removed() -> None:
    twice = [statement("Same", ROOT), statement("Same", OTHER), statement(None, ROOT)]
    found = change_of_policy("", document(*twice), document(twice[0], statement(None, OTHER)))

    assert found is not None
    assert found.added == (statement(None, OTHER),)
    assert {json.dumps(one) for one in found.removed} == {json.dumps(one) for one in twice[1:]}
    assert found.changed == ()


def test_a_policy_with_a_repeated_statement_loses_one() -> None:
    one = statement("Same", ROOT)

    assert change_of_policy("", document(one, one), document(one)) == change_of_policy("", document(one), None)


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, None), (None, document()), (document(statement("A", ROOT)), document(statement("A", "111122223333")))],
)
def test_a_policy_of_the_same_meaning_does_not_change(before: Any, after: Any) -> None:
    assert change_of_policy("", before, after) is None


def test_settings_that_differ_are_listed_by_name() -> None:
    found = changes_of_settings({"same": [1, 2], "gone": "a", "other": 1}, {"same": [2, 1], "new": "b", "other": 2})

    assert [(one.name, one.before, one.after) for one in found] == [("gone", "a", None), ("new", None, "b"), ("other", 1, 2)]
    assert changes_of_settings(None, None) == ()


def test_calls_are_counted_by_operation() -> None:
    found = count_calls(["kms:CreateKey", "iam:CreateRole", "kms:CreateKey"])

    assert [(call.operation, call.count) for call in found] == [("iam:CreateRole", 1), ("kms:CreateKey", 2)]


def test_the_hash_covers_the_request_what_was_read_and_what_is_done() -> None:
    key = Change(action="create", kind="key", name="alias/one")
    plans = [
        plan(),
        plan("another"),
        plan(reads={"key": 1}),
        plan(changes=(key,)),
        plan(changes=(key.model_copy(update={"action": "adopt"}),)),
        plan(operations=("kms:CreateKey",)),
        plan(operations=("kms:CreateKey", "kms:CreateKey")),
    ]

    assert len({one.plan_hash for one in plans}) == len(plans)


def test_the_hash_depends_on_no_order_and_on_no_missing_permission() -> None:
    changes = tuple(Change(action="none", kind=kind, name="one") for kind in ("key", "secret"))
    missing = MissingPermission(principal=OTHER, action="kms:CreateKey", resource="*")
    one = plan(changes=changes, operations=("kms:A", "kms:B"))
    other = plan(changes=changes[::-1], operations=("kms:B", "kms:A"), permissions=(missing, missing))

    assert one.plan_hash == other.plan_hash
    assert other.permissions == (missing,)


def test_only_added_resources_cost() -> None:
    changes = [Change(action="create", kind=kind, name=kind) for kind in ("key", "alias", "secret", "role")]
    adopted = Change(action="adopt", kind="key", name=KEY)

    assert plan(changes=(*changes, adopted)).monthly_cost == 1.4
    assert monthly_cost([]) == 0


def test_differences_name_what_was_read_and_what_would_be_done() -> None:
    settings = changes_of_settings({"days": 1}, {"days": 2})
    planned = plan(
        reads={"key policy": 1, "same": 1},
        changes=(Change(action="update", kind="key", name=KEY), Change(action="none", kind="role", name="Reader")),
        operations=("kms:PutKeyPolicy",),
    )
    present = plan(
        reads={"key policy": 2, "same": 1},
        changes=(
            Change(action="update", kind="key", name=KEY, settings=settings),
            Change(action="create", kind="role", name="Reader"),
            Change(action="none", kind="secret", name="one"),
        ),
        operations=("kms:PutKeyPolicy", "iam:CreateRole"),
    )

    found = differences(planned, present)

    assert len(found) == 4
    for name in ("key policy", KEY, "role Reader", "iam:CreateRole"):
        assert sum(name in text for text in found) == 1, found
    assert differences(planned, planned) == []
