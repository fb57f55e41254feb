"""The registry of a plan reads what the plan would have written, as DynamoDB would return it, and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from latchkey.registry import Registry
from latchkey.registry.expressions import holds, updated
from latchkey.registry.journal import KEY, REQUEST
from latchkey.registry.planned import PLAN, PlannedRegistry, RememberingTable
from latchkey.registry.table import ConditionFailed, Table
from tests import dynamodb
from tests.unit.samples import EXECUTION_ARN, KEY_ARN

ACCESS = "mediatailor/sourceLocation/sports-origin"
ITEM = {"one": "1", "tries": 3, "accesses": {"a", "b"}, "kept": "yes"}
VALUES: dict[str, Any] = {":one": "1", ":two": "2", ":more": 2, ":set": {"b", "c"}, ":only": {"a", "b"}, ":a": "a"}
NAMES = {"#one": "one", "#fresh": "fresh"}

UPDATES = (
    "SET #one = :two, #fresh = :one",
    "SET one = if_not_exists(one, :two), fresh = if_not_exists(fresh, :two), copied = kept",
    "SET fresh = one, one = :two REMOVE kept, absent ADD tries :more, seen :more, accesses :set, further :set",
    "DELETE accesses :set",
    "DELETE accesses :only, further :only",
)
CONDITIONS = (
    "attribute_exists(one) AND attribute_not_exists(fresh)",
    "attribute_not_exists(one) OR one = :one",
    "one = :two OR (accesses = :only AND contains(accesses, :a))",
    "attribute_not_exists(one) AND (one = :one OR one = :two)",
    "tries < :more",
    "one < :two",
    "absent = :one OR absent < :two",
    "contains(absent, :a)",
    "contains(accesses, :one)",
    "#one = :one",
)


@pytest.fixture
def table(registry: Registry) -> Table:
    """The table in moto, with one item."""
    values, names = {f":{name}": value for name, value in ITEM.items()}, {f"#{name}": name for name in ITEM}
    made = Table(dynamodb.client(), "accesses")
    made.update("access", ACCESS, "SET " + ", ".join(f"#{name} = :{name}" for name in ITEM), None, values, names)
    return made


@pytest.fixture
def planned(table: Table) -> RememberingTable:
    return RememberingTable(dynamodb.client(), "accesses")


def used(text: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """What an expression refers to: DynamoDB accepts nothing else."""
    tokens = text.replace("(", " ").replace(")", " ").replace(",", " ").split()
    return {name: value for name, value in known.items() if name in tokens}


@pytest.mark.parametrize("update", UPDATES)
def test_a_planned_update_has_the_result_that_dynamodb_returns(table: Table, planned: RememberingTable, update: str) -> None:
    before = table.get("access", ACCESS)
    asked: Any = ("access", ACCESS, update, None, used(update, VALUES), used(update, NAMES) or None)

    answer = planned.update(*asked)

    assert planned.get("access", ACCESS) == answer
    assert table.get("access", ACCESS) == before == planned.stored("access", ACCESS)
    assert table.update(*asked) == answer


@pytest.mark.parametrize("item_id", [ACCESS, "absent"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_planned_condition_holds_exactly_if_it_holds_in_dynamodb(
    table: Table, planned: RememberingTable, condition: str, item_id: str
) -> None:
    update = "SET written = :written"
    values: dict[str, Any] = used(condition, VALUES) | {":written": "yes"}

    def is_written(one: Table) -> bool:
        try:
            one.update("access", item_id, update, condition, values, used(condition, NAMES) or None)
        except ConditionFailed:
            return False
        return True

    assert is_written(planned) == is_written(table)


@pytest.mark.parametrize("text", ["tries > :more", "attribute_type(one, :a)", "one = :one,", "(one = :one"])
def test_a_condition_that_the_registry_does_not_use_is_not_supported(text: str) -> None:
    with pytest.raises(ValueError, match=r"not supported|missing"):
        holds(ITEM, text, VALUES)


@pytest.mark.parametrize("text", ["SET one :one", "CREATE one", "SET one = :one @"])
def test_an_update_that_the_registry_does_not_use_is_not_supported(text: str) -> None:
    with pytest.raises(ValueError, match=r"not supported|missing"):
        updated(ITEM, text, VALUES)


def test_a_query_returns_planned_items_and_none_that_the_plan_deletes(table: Table, planned: RememberingTable) -> None:
    for item_id in ("a/1", "a/2", "b/1"):
        table.update("journal", item_id, "SET n = :n", None, {":n": item_id})
    planned.delete("journal", "a/1")
    planned.update("journal", "a/2", "SET done = :n", None, {":n": "yes"})
    planned.update("journal", "a/3", "SET n = :n", None, {":n": "new"})
    planned.update("grant", "a/4", "SET n = :n", None, {":n": "new"})

    assert [item["id"] for item in planned.query("journal", "a/")] == ["a/2", "a/3"]
    assert [item["id"] for item in planned.query("journal", without="done")] == ["a/3", "b/1"]
    assert [item["id"] for item in table.query("journal")] == ["a/1", "a/2", "b/1"]


def test_a_planned_deletion_has_a_condition_too(planned: RememberingTable) -> None:
    with pytest.raises(ConditionFailed):
        planned.delete("access", ACCESS, "one = :two", {":two": "2"})
    planned.delete("access", ACCESS, "one = :one", {":one": "1"})

    assert planned.get("access", ACCESS) == {}
    assert planned.stored("access", ACCESS)["one"] == "1"


def test_what_the_caller_changes_in_an_item_changes_no_later_read(planned: RememberingTable) -> None:
    planned.update("access", ACCESS, "SET one = :two", None, {":two": "2"}).clear()
    planned.get("access", ACCESS)["accesses"].clear()

    assert planned.get("access", ACCESS)["accesses"] == {"a", "b"}


def test_a_plan_has_a_lock_and_a_journal_of_its_own(registry: Registry, planned: RememberingTable) -> None:
    registry.locks.lock(ACCESS, EXECUTION_ARN)
    registry.journal.of(EXECUTION_ARN, ACCESS, "default").intend(REQUEST, {})
    plan = PlannedRegistry(planned)

    plan.hold(ACCESS)
    journal = plan.journal_of(PLAN, ACCESS, "default")
    journal.intend(KEY, {"alias": "alias/a"})
    journal.complete(KEY, KEY_ARN)

    assert [(entry.kind, entry.result) for entry in journal.entries()] == [("key", KEY_ARN)]
    assert (plan.locks.holder(ACCESS), plan.present_holder(ACCESS)) == (PLAN, EXECUTION_ARN)
    assert registry.locks.holder(ACCESS) == EXECUTION_ARN
    assert [entry.kind for entry in registry.journal.of(EXECUTION_ARN, ACCESS, "default").entries()] == ["request"]
    assert plan.present_holder("absent") is None


def test_the_request_that_a_plan_announces_is_only_in_the_plan(registry: Registry, planned: RememberingTable) -> None:
    plan = PlannedRegistry(planned)
    plan.hold(ACCESS, accompanied="another")

    plan.locks.announce_request(ACCESS, {}, PLAN)
    with plan.lease("the policy") as lease:
        assert lease
        lease.require()

    assert planned.get("access", ACCESS)["runningWith"] == "another"
    assert "pending" not in planned.stored("access", ACCESS)
    assert [*Table(dynamodb.client(), "accesses").query("lease")] == []
