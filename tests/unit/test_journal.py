"""The journal of one request: intents before calls, results after them, and nothing of another request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from latchkey.registry import Registry
from latchkey.registry.former_notes import FORMER_NOTES
from latchkey.registry.journal import KEY, RECORD, REQUEST, RESOURCE, RequestJournal, reference_step
from tests import dynamodb
from tests.unit.samples import EXECUTION_ARN, KEY_ARN

ACCESS = "mediatailor/sourceLocation/sports-origin"
LATER_EXECUTION = f"{EXECUTION_ARN}-later"


@pytest.fixture
def journal(registry: Registry) -> RequestJournal:
    return registry.journal.of(EXECUTION_ARN, ACCESS, "sports")


@pytest.fixture
def later(registry: Registry) -> RequestJournal:
    return registry.journal.of(LATER_EXECUTION, ACCESS, "sports")


def items() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dynamodb.resource().Table("accesses").scan()["Items"]
    return [item for item in found if item["kind"] == "journal"]


def test_an_entry_names_the_access_the_tenant_and_the_execution(journal: RequestJournal) -> None:
    journal.intend(KEY, {"alias": "alias/a"})
    [item] = items()
    assert (item["accessId"], item["tenant"], item["executionArn"]) == (ACCESS, "sports", EXECUTION_ARN)


def test_the_state_that_the_first_attempt_found_stays(journal: RequestJournal) -> None:
    journal.intend(RESOURCE, {"a": 2}, found={"a": 1})
    again = journal.intend(RESOURCE, {"a": 2}, found={"a": 2})
    assert again.found == {"a": 1}


def test_the_state_that_somebody_else_left_between_two_attempts_counts(journal: RequestJournal) -> None:
    journal.intend(RESOURCE, {"a": 2}, found={"a": 1})
    again = journal.intend(RESOURCE, {"a": 2}, found={"a": 5}, anew=True)
    assert again.found == {"a": 5}


def test_a_result_is_recorded_after_the_call(journal: RequestJournal) -> None:
    journal.intend(KEY, {"alias": "alias/a"})
    assert journal.entries()[0].result is None
    journal.complete(KEY, {"arn": KEY_ARN})
    entry = journal.entry(KEY)
    assert entry
    assert (entry.wanted, entry.result) == ({"alias": "alias/a"}, {"arn": KEY_ARN})


def test_entries_are_in_the_order_of_the_steps(journal: RequestJournal) -> None:
    for step in (RECORD, reference_step(KEY_ARN), KEY, REQUEST):
        journal.intend(step, None)
    assert [entry.kind for entry in journal.entries()] == ["request", "reference", "key", "record"]


def test_a_later_request_neither_reads_nor_deletes_the_journal(journal: RequestJournal, later: RequestJournal) -> None:
    journal.intend(RESOURCE, {"a": 2}, found={"a": 1})
    later.intend(RESOURCE, {"a": 3}, found={"a": 2})
    later.settle()
    assert later.entries() == []
    assert [entry.found for entry in journal.entries()] == [{"a": 1}]


def test_an_open_journal_is_found_without_its_access(registry: Registry, journal: RequestJournal) -> None:
    journal.intend(KEY, None)
    assert [(one.execution_arn, one.access_id) for one in registry.journal.open()] == [(EXECUTION_ARN, ACCESS)]
    journal.finish(KEY)
    assert [*registry.journal.open()] == []


def test_a_failure_keeps_what_is_open_and_deletes_the_rest(journal: RequestJournal) -> None:
    for step in (REQUEST, reference_step(KEY_ARN), KEY, RESOURCE):
        journal.intend(step, None)
    journal.finish(RESOURCE)
    journal.abandon(KEY, "a person decides")
    journal.leave(reference_step(KEY_ARN), "a secret is under it")
    journal.settle(keep_open=True)
    assert [entry.step for entry in journal.entries()] == [REQUEST, reference_step(KEY_ARN)]


def test_a_request_that_changed_nothing_keeps_no_journal(journal: RequestJournal) -> None:
    journal.intend(REQUEST, None)
    journal.settle(keep_open=True)
    assert items() == []


def test_references_of_other_requests_for_the_access_are_known(
    registry: Registry, journal: RequestJournal, later: RequestJournal
) -> None:
    for one in (journal, later):
        one.intend(reference_step(KEY_ARN), {"resource": KEY_ARN})
    assert registry.journal.uses(KEY_ARN, ACCESS, without=EXECUTION_ARN)
    later.settle()
    assert not registry.journal.uses(KEY_ARN, ACCESS, without=EXECUTION_ARN)


def put_access(**members: Any) -> None:
    dynamodb.resource().Table("accesses").put_item(Item={"kind": "access", "id": ACCESS, **members})


FORMER: dict[str, Any] = {
    "former": json.dumps({"a": 1}),
    "previous": json.dumps({"keyArn": KEY_ARN}),
    "undone": {"x is deleted"},
}


@pytest.mark.parametrize("owner", ["unfinished", "running"])
def test_notes_of_a_former_version_move_into_the_journal_of_their_execution(
    registry: Registry, journal: RequestJournal, owner: str
) -> None:
    put_access(**FORMER, **{owner: EXECUTION_ARN})
    for _ in range(2):
        registry.move_former_notes(ACCESS, "sports")
        entry = journal.entry(FORMER_NOTES)
        assert entry
        assert (entry.found, entry.undone) == ({"former": {"a": 1}, "previous": {"keyArn": KEY_ARN}}, ("x is deleted",))
    [item] = [one for one in dynamodb.resource().Table("accesses").scan()["Items"] if one["kind"] == "access"]
    assert set(item) == {"kind", "id"} | ({"running"} if owner == "running" else set())


def test_notes_of_an_unfinished_rollback_do_not_go_to_the_running_request(
    registry: Registry, journal: RequestJournal, later: RequestJournal
) -> None:
    put_access(**FORMER, unfinished=EXECUTION_ARN, running=LATER_EXECUTION)
    registry.move_former_notes(ACCESS, "sports")
    assert later.entries() == []
    assert [entry.step for entry in journal.entries()] == [FORMER_NOTES]


def test_a_rollback_waits_for_the_running_request(registry: Registry) -> None:
    registry.locks.lock(ACCESS, EXECUTION_ARN)
    registry.locks.lock_for_rollback(ACCESS, EXECUTION_ARN, "arn:end-request")
    assert registry.locks.holder(ACCESS) == "arn:end-request"
    registry.locks.unlock(ACCESS, EXECUTION_ARN)
    assert registry.locks.holder(ACCESS) == "arn:end-request"


OTHER = "mediatailor/sourceLocation/news-origin"


def test_a_request_keeps_its_changes_of_other_accesses_in_one_journal(registry: Registry, journal: RequestJournal) -> None:
    companion = journal.of_companion(OTHER)
    journal.intend(REQUEST, None)
    for one in (companion, journal):
        one.intend(RESOURCE, {"of": one.access_id})

    assert [(entry.step, entry.access_id) for entry in journal.entries()] == [
        (REQUEST, ACCESS),
        (RESOURCE, ACCESS),
        (RESOURCE, OTHER),
    ]
    found = companion.entry(RESOURCE)
    assert found is not None
    assert (found.kind, found.wanted) == ("resource", {"of": OTHER})
    assert [one.access_id for one in journal.companions()] == [OTHER]
    assert [(one.access_id, one.accompanies) for one in registry.journal.open()] == [(OTHER, True), (ACCESS, False)]
    assert registry.journal.of(EXECUTION_ARN, OTHER, "sports", accompanies=True).entry(RESOURCE) == found


def test_the_changes_of_other_accesses_are_settled_with_the_request(registry: Registry, journal: RequestJournal) -> None:
    companion = journal.of_companion(OTHER)
    for one in (companion, journal):
        one.intend(REQUEST, None)
    companion.intend(reference_step(KEY_ARN), {})
    assert registry.journal.uses(KEY_ARN, OTHER, without=LATER_EXECUTION)

    journal.settle(keep_open=True)
    assert len(journal.entries()) == 3
    companion.finish(reference_step(KEY_ARN))
    journal.settle(keep_open=True)
    assert journal.entries() == []


def test_the_journal_of_an_access_is_found_by_its_lock(registry: Registry) -> None:
    registry.locks.lock(ACCESS, EXECUTION_ARN)
    registry.locks.lock(OTHER, EXECUTION_ARN, accompanied=ACCESS)
    found = [registry.journal_of(EXECUTION_ARN, access_id, "sports").accompanies for access_id in (ACCESS, OTHER)]
    assert found == [False, True]
    registry.locks.unlock(OTHER, EXECUTION_ARN)
    registry.locks.lock(OTHER, LATER_EXECUTION)
    assert registry.journal_of(LATER_EXECUTION, OTHER, "sports").accompanies is False
