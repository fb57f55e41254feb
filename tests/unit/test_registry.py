"""The registry: every write on a condition, one outcome for each request, leases that end."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from latchkey.accesses import AccessRecord
from latchkey.aws import settling
from latchkey.errors import AccessDenied, Conflict, NotYetEffective, TransientAwsError
from latchkey.registry import STALE_SECONDS, Registry, Want
from latchkey.table import Table
from tests.unit.samples import EXECUTION_ARN, KEY_ARN, PLACE, SECRET_ARN, detail

ACCESS, OTHER_ACCESS = (f"mediatailor/sourceLocation/{name}-origin" for name in ("sports", "news"))
OTHER_EXECUTION = f"{EXECUTION_ARN}-2"
WANTED, OTHER_WANTED = detail(), detail({"requestId": "request-2", "resource.sourceLocation": "news-origin"})
SECRET, ALIAS = "secret latchkey/mediatailor/sports-origin/token", "alias/latchkey/mediatailor"
HASH, OTHER_HASH = "a" * 64, "b" * 64
RECORD = AccessRecord(
    access_id=ACCESS,
    system="mediatailor",
    status="active",
    request_id="request-1",
    key_arn=KEY_ARN,
    secret_arn=SECRET_ARN,
    resource_arn=PLACE.arn("mediatailor", "sourceLocation/sports-origin"),
)


def item(kind: str, item_id: str) -> dict[str, Any]:
    """The item as it stands in the table of the fixture `registry`."""
    key = {"kind": kind, "id": item_id}
    found: dict[str, Any] = boto3.resource("dynamodb").Table("accesses").get_item(Key=key).get("Item", {})
    return found


def _later(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    now = time.time()
    monkeypatch.setattr("latchkey.registry.time.time", lambda: now + seconds)


def test_a_request_is_claimed_once_and_again_by_its_own_execution(registry: Registry) -> None:
    registry.claim_request("request-1", HASH, EXECUTION_ARN)
    registry.claim_request("request-1", HASH, EXECUTION_ARN)
    assert item("request", "request-1")["contentHash"] == HASH


@pytest.mark.parametrize(("content_hash", "execution"), [(OTHER_HASH, EXECUTION_ARN), (HASH, f"{EXECUTION_ARN}-2")])
def test_an_id_that_stands_for_another_request_is_a_conflict(registry: Registry, content_hash: str, execution: str) -> None:
    registry.claim_request("request-1", HASH, EXECUTION_ARN)
    with pytest.raises(Conflict, match="has been used for another request"):
        registry.claim_request("request-1", content_hash, execution)
    assert item("request", "request-1")["executionArn"] == EXECUTION_ARN


def test_an_outcome_is_recorded_once(registry: Registry) -> None:
    registry.claim_request("request-1", HASH, EXECUTION_ARN)
    first = registry.record_outcome("request-1", HASH, "o-1", "Access Onboarded", '{"first": true}')
    second = registry.record_outcome("request-1", HASH, "o-2", "Request Failed", "{}")
    assert first == second == ("Access Onboarded", '{"first": true}')
    assert item("request", "request-1")["outcomeId"] == "o-1"
    assert item("request", "request-1")["executionArn"] == EXECUTION_ARN


def test_a_request_that_was_never_claimed_has_an_outcome_too(registry: Registry) -> None:
    assert registry.record_outcome("request-1", HASH, "o-1", "Request Failed", "{}") == ("Request Failed", "{}")
    assert item("request", "request-1")["contentHash"] == HASH


def test_another_request_under_a_used_id_has_an_outcome_of_its_own(registry: Registry) -> None:
    registry.claim_request("request-1", HASH, EXECUTION_ARN)
    for _ in range(2):
        told = registry.record_outcome("request-1", OTHER_HASH, "o-2", "Request Rejected", '{"a": 1}')
        assert told == ("Request Rejected", '{"a": 1}')
    assert registry.record_outcome("request-1", HASH, "o-1", "Access Onboarded", "{}") == ("Access Onboarded", "{}")
    assert item("request", "request-1")["outcomeId"] == "o-1"


def test_outcomes_of_two_requests_are_never_mixed_up(registry: Registry) -> None:
    for content in (HASH, "b" * 64, "b" * 16 + "c" * 48):
        if content.endswith("c"):
            with pytest.raises(Conflict, match="share an id"):
                registry.record_outcome("request-1", content, "o-3", "Request Failed", "{}")
        else:
            registry.record_outcome("request-1", content, content[0], "Request Rejected", "{}")
    assert item("request", f"request-1/{'b' * 16}")["outcomeId"] == "b"


def test_an_access_is_read_as_it_was_saved(registry: Registry) -> None:
    assert registry.access(RECORD.access_id) is None
    saved = registry.save_access(RECORD, WANTED)
    assert saved == replace(RECORD, version=1)
    assert registry.access(RECORD.access_id) == saved


def test_a_saved_access_counts_its_versions(registry: Registry) -> None:
    saved = registry.save_access(registry.save_access(RECORD, WANTED), WANTED)
    assert (saved.version, registry.access(RECORD.access_id)) == (2, saved)


def test_an_access_written_meanwhile_is_not_overwritten(registry: Registry) -> None:
    first = registry.save_access(RECORD, WANTED)
    second = registry.save_access(replace(first, status="failed"), WANTED)
    with pytest.raises(TransientAwsError, match="written by somebody else"):
        registry.save_access(replace(first, status="active"), OTHER_WANTED)
    with pytest.raises(TransientAwsError, match="written by somebody else"):
        registry.save_access(RECORD, OTHER_WANTED)
    assert registry.access(RECORD.access_id) == second
    assert registry.wanted_before(RECORD.access_id) == WANTED


def test_a_request_has_its_access_alone_until_it_ends(registry: Registry) -> None:
    for _ in range(2):
        registry.begin_access(ACCESS, EXECUTION_ARN)
    with pytest.raises(NotYetEffective, match="another request is working on this access"):
        registry.begin_access(ACCESS, OTHER_EXECUTION)
    registry.begin_access(OTHER_ACCESS, OTHER_EXECUTION)
    registry.end_access(ACCESS, OTHER_EXECUTION)
    with pytest.raises(NotYetEffective):
        registry.begin_access(ACCESS, OTHER_EXECUTION)
    for _ in range(2):
        registry.end_access(ACCESS, EXECUTION_ARN)
    registry.begin_access(ACCESS, OTHER_EXECUTION)


def test_ending_what_never_began_changes_nothing(registry: Registry) -> None:
    registry.end_access(ACCESS, EXECUTION_ARN)
    assert item("access", ACCESS) == {}


@pytest.mark.parametrize(("age", "free"), [(STALE_SECONDS - 60, False), (STALE_SECONDS + 60, True)])
def test_a_request_that_ended_without_saying_so_holds_its_access_no_longer_than_any_may_run(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, age: int, free: bool
) -> None:
    registry.begin_access(ACCESS, EXECUTION_ARN)
    _later(monkeypatch, age)
    if not free:
        with pytest.raises(NotYetEffective):
            registry.begin_access(ACCESS, OTHER_EXECUTION)
        return
    registry.begin_access(ACCESS, OTHER_EXECUTION)
    registry.end_access(ACCESS, EXECUTION_ARN)
    assert item("access", ACCESS)["running"] == OTHER_EXECUTION


def test_who_takes_over_an_abandoned_access_has_it_alone(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.begin_access(ACCESS, EXECUTION_ARN)
    _later(monkeypatch, STALE_SECONDS + 60)
    registry.begin_access(ACCESS, OTHER_EXECUTION)
    with pytest.raises(NotYetEffective):
        registry.begin_access(ACCESS, f"{EXECUTION_ARN}-3")


def test_an_access_under_work_is_not_yet_recorded(registry: Registry) -> None:
    registry.begin_access(ACCESS, EXECUTION_ARN)
    assert registry.access(ACCESS) is None
    assert registry.wanted_before(ACCESS) is None
    saved = registry.save_access(RECORD, WANTED)
    assert (saved.version, registry.access(ACCESS)) == (1, saved)


def test_what_an_access_wanted_before_outlives_a_request_that_fails(registry: Registry) -> None:
    assert registry.wanted_before(ACCESS) is None
    registry.save_access(RECORD, WANTED)
    registry.begin_access(ACCESS, EXECUTION_ARN)
    assert registry.wanted_before(ACCESS) == WANTED
    registry.end_access(ACCESS, EXECUTION_ARN)
    assert registry.wanted_before(ACCESS) == WANTED
    assert registry.access(ACCESS) == replace(RECORD, version=1)


@pytest.mark.parametrize("former", [{"a": {"b": ["c"]}}, {}, None], ids=str)
def test_the_first_look_at_a_resource_is_what_it_was_before(registry: Registry, former: dict[str, Any] | None) -> None:
    registry.begin_access(ACCESS, EXECUTION_ARN)
    assert registry.former(ACCESS) == (False, None)
    registry.note_former(ACCESS, former, KEY_ARN)
    registry.note_former(ACCESS, {"a": "as the request left it"}, KEY_ARN)
    assert registry.former(ACCESS) == (True, former)
    assert registry.former(OTHER_ACCESS) == (False, None)


def test_the_next_request_looks_at_the_resource_anew(registry: Registry) -> None:
    registry.begin_access(ACCESS, EXECUTION_ARN)
    registry.note_former(ACCESS, {"a": 1}, KEY_ARN)
    registry.end_access(ACCESS, EXECUTION_ARN)
    assert registry.former(ACCESS) == (False, None)
    registry.note_former(ACCESS, {"a": 2}, KEY_ARN)
    assert registry.former(ACCESS) == (True, {"a": 2})


def test_a_key_and_a_secret_know_the_accesses_that_refer_to_them(registry: Registry) -> None:
    for _ in range(2):
        registry.refer(KEY_ARN, ACCESS)
        registry.refer(KEY_ARN, OTHER_ACCESS)
    registry.refer(SECRET, ACCESS)
    assert registry.others(KEY_ARN, ACCESS) == {OTHER_ACCESS}
    assert registry.others(KEY_ARN, "a third") == {ACCESS, OTHER_ACCESS}
    assert registry.others(SECRET, ACCESS) == frozenset()
    assert registry.others("unknown", ACCESS) == frozenset()


def test_a_reference_is_taken_back_alone(registry: Registry) -> None:
    registry.refer(KEY_ARN, ACCESS)
    registry.refer(KEY_ARN, OTHER_ACCESS)
    for _ in range(2):
        registry.release(KEY_ARN, ACCESS)
    assert registry.others(KEY_ARN, "a third") == {OTHER_ACCESS}
    registry.release(KEY_ARN, OTHER_ACCESS)
    assert registry.others(KEY_ARN, "a third") == frozenset()


def test_who_looks_for_requests_without_an_outcome_reads_no_others(registry: Registry) -> None:
    """Requests are kept for good, and anybody who may put events can have any number of them rejected."""
    registry.claim_request("request-1", HASH, EXECUTION_ARN)
    registry.record_outcome("request-1", HASH, "one", "Request Rejected", "{}")
    registry.claim_request("request-2", HASH, OTHER_EXECUTION)
    brought: list[dict[str, Any]] = []

    def note(parsed: dict[str, Any], **_: object) -> None:
        brought.extend(parsed["Items"])

    registry._table._dynamodb.meta.events.register("after-call.dynamodb.Query", note)

    assert [*registry.unanswered(datetime.now(UTC) + timedelta(seconds=1))] == [OTHER_EXECUTION]
    assert [item["id"]["S"] for item in brought] == ["request-2"]


def test_what_others_want_is_what_they_have_and_what_they_may_come_to_have(registry: Registry) -> None:
    registry.refer(KEY_ARN, ACCESS)
    registry.refer(KEY_ARN, OTHER_ACCESS)
    registry.begin_access(OTHER_ACCESS, OTHER_EXECUTION)
    assert registry.wants_of(KEY_ARN, beside=ACCESS) == []
    registry.admit(OTHER_ACCESS, OTHER_WANTED, OTHER_EXECUTION)
    assert registry.wants_of(KEY_ARN, beside=ACCESS) == [Want(OTHER_WANTED, None)]
    registry.save_access(replace(RECORD, access_id=OTHER_ACCESS), WANTED)
    assert registry.wants_of(KEY_ARN, beside=ACCESS) == [Want(WANTED, KEY_ARN), Want(OTHER_WANTED, None)]
    registry.end_access(OTHER_ACCESS, OTHER_EXECUTION)
    assert registry.wants_of(KEY_ARN, beside=ACCESS) == [Want(WANTED, KEY_ARN)]
    assert registry.wants_of(KEY_ARN, beside=OTHER_ACCESS) == []
    registry.release(KEY_ARN, OTHER_ACCESS)
    assert registry.wants_of(KEY_ARN, beside=ACCESS) == []


def test_a_request_is_admitted_only_while_it_has_the_access(registry: Registry) -> None:
    registry.begin_access(ACCESS, EXECUTION_ARN)
    with pytest.raises(NotYetEffective, match="another request is working on this access"):
        registry.admit(ACCESS, OTHER_WANTED, OTHER_EXECUTION)
    assert "pending" not in item("access", ACCESS)


def test_what_a_request_that_died_was_to_have_is_wanted_no_longer(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.begin_access(ACCESS, EXECUTION_ARN)
    registry.admit(ACCESS, WANTED, EXECUTION_ARN)
    _later(monkeypatch, STALE_SECONDS + 1)
    registry.begin_access(ACCESS, OTHER_EXECUTION)
    assert "pending" not in item("access", ACCESS)


def test_what_an_access_wants_of_a_key_is_wanted_of_no_other(registry: Registry) -> None:
    registry.save_access(RECORD, WANTED)
    registry.refer(KEY_ARN, ACCESS)
    assert registry.wants_of(f"{KEY_ARN}0", beside=OTHER_ACCESS) == []


def test_what_no_other_access_refers_to_is_closed_and_forgotten(registry: Registry) -> None:
    registry.refer(SECRET, ACCESS)
    registry.await_removal(SECRET)
    assert registry.begin_removal(SECRET, ACCESS)
    # A try that crashed is tried again.
    assert registry.begin_removal(SECRET, ACCESS)
    with pytest.raises(NotYetEffective, match=f"{SECRET} is being removed"):
        registry.refer(SECRET, OTHER_ACCESS)
    with pytest.raises(NotYetEffective, match=f"{SECRET} is being removed"):
        registry.await_removal(SECRET)
    assert registry.others(SECRET, ACCESS) == frozenset()
    for _ in range(2):
        registry.forget(SECRET)
    registry.await_removal(SECRET)
    registry.refer(SECRET, OTHER_ACCESS)


@pytest.mark.parametrize("referring", [[ACCESS, OTHER_ACCESS], [OTHER_ACCESS]], ids=["too", "instead"])
def test_what_is_not_one_s_own_alone_is_not_closed(registry: Registry, referring: list[str]) -> None:
    for access_id in referring:
        registry.refer(SECRET, access_id)
    before = item("resource", SECRET)
    assert not registry.begin_removal(SECRET, ACCESS)
    assert item("resource", SECRET) == before
    registry.await_removal(SECRET)


def test_what_nobody_came_to_refer_to_may_be_closed(registry: Registry) -> None:
    assert registry.begin_removal(SECRET, ACCESS)
    assert registry.begin_removal(SECRET, ACCESS)
    with pytest.raises(NotYetEffective):
        registry.refer(SECRET, OTHER_ACCESS)


def test_what_the_others_have_left_may_be_closed(registry: Registry) -> None:
    registry.refer(SECRET, ACCESS)
    registry.refer(SECRET, OTHER_ACCESS)
    registry.release(SECRET, OTHER_ACCESS)
    assert registry.begin_removal(SECRET, ACCESS)


def test_only_a_removal_that_has_begun_is_finished(registry: Registry) -> None:
    registry.forget_closed(SECRET)
    registry.refer(SECRET, ACCESS)
    registry.forget_closed(SECRET)
    assert item("resource", SECRET)["accesses"] == {ACCESS}
    registry.begin_removal(SECRET, ACCESS)
    registry.forget_closed(SECRET)
    assert item("resource", SECRET) == {}


def test_a_key_that_was_begun_is_known_before_and_after_its_answer(registry: Registry) -> None:
    assert registry.key_noted_for(ALIAS) is None
    registry.begin_key(ALIAS, "request-1")
    begun = registry.key_noted_for(ALIAS)
    assert begun is not None
    assert begun.arn is None
    assert timedelta(0) <= datetime.now(UTC) - begun.begun < timedelta(minutes=1)
    registry.note_key(ALIAS, KEY_ARN)
    assert registry.key_noted_for(ALIAS) == replace(begun, arn=KEY_ARN)
    assert registry.key_noted_for("alias/other") is None


def test_a_key_begun_anew_is_not_taken_for_the_one_before(registry: Registry) -> None:
    registry.begin_key(ALIAS, "request-1")
    registry.note_key(ALIAS, KEY_ARN)
    registry.begin_key(ALIAS, "request-1")
    again = registry.key_noted_for(ALIAS)
    assert again is not None
    assert again.arn is None
    registry.forget(ALIAS)
    assert registry.key_noted_for(ALIAS) is None


def test_a_secret_knows_the_hosts_that_its_token_goes_to(registry: Registry) -> None:
    assert registry.origin_hosts("latchkey/a") == frozenset()
    for host in ("origin.example.com", "origin.example.com", "backup.example.com"):
        registry.add_origin_host("latchkey/a", host)
    assert registry.origin_hosts("latchkey/a") == {"origin.example.com", "backup.example.com"}
    assert registry.origin_hosts("latchkey/b") == frozenset()


@pytest.mark.parametrize("call", ["begin_removal", "refer", "begin_access", "end_access", "forget_closed"])
def test_a_busy_table_is_not_taken_for_a_condition(call: str) -> None:
    dynamodb = boto3.client("dynamodb")
    arguments = {"begin_access": (ACCESS, EXECUTION_ARN), "forget_closed": (SECRET,)}.get(call, (SECRET, ACCESS))
    with Stubber(dynamodb) as stubber:
        stubber.add_client_error("delete_item" if call == "forget_closed" else "update_item", "ThrottlingException")
        with pytest.raises(TransientAwsError, match="ThrottlingException"):
            getattr(Registry(Table(dynamodb, "accesses")), call)(*arguments)


def test_the_registry_never_settles() -> None:
    dynamodb = boto3.client("dynamodb")
    with Stubber(dynamodb) as stubber:
        stubber.add_client_error("get_item", "AccessDeniedException")
        with pytest.raises(AccessDenied), settling(datetime.now(UTC)):
            Registry(Table(dynamodb, "accesses")).access(ACCESS)


def test_an_access_recorded_for_a_request_that_failed_is_as_before(registry: Registry) -> None:
    registry.begin_access(ACCESS, EXECUTION_ARN)
    registry.save_access(RECORD, WANTED)
    for _ in range(2):
        registry.restore_access(ACCESS, RECORD.request_id)
        assert registry.access(ACCESS) is None
        assert registry.wanted_before(ACCESS) is None
    first = registry.save_access(RECORD, WANTED)
    registry.end_access(ACCESS, EXECUTION_ARN)
    registry.save_access(replace(first, request_id="request-2", key_arn=f"{KEY_ARN}-2"), OTHER_WANTED)
    for _ in range(2):
        registry.restore_access(ACCESS, "request-2")
        assert registry.access(ACCESS) == replace(first, version=3)
        assert registry.wanted_before(ACCESS) == WANTED


def test_a_recorded_access_that_has_ended_well_stays(registry: Registry) -> None:
    registry.begin_access(ACCESS, EXECUTION_ARN)
    saved = registry.save_access(RECORD, WANTED)
    registry.restore_access(ACCESS, "request-2")
    registry.end_access(ACCESS, EXECUTION_ARN)
    registry.restore_access(ACCESS, RECORD.request_id)
    assert registry.access(ACCESS) == saved


def test_what_is_undone_is_told_until_the_request_ends(registry: Registry) -> None:
    registry.begin_access(ACCESS, EXECUTION_ARN)
    for told in ("b is deleted", "a is deleted", "b is deleted"):
        registry.note_undone(ACCESS, told)
    assert registry.undone(ACCESS) == ("a is deleted", "b is deleted")
    registry.end_access(ACCESS, EXECUTION_ARN)
    assert registry.undone(ACCESS) == ()


def test_what_is_noted_of_a_newer_key_of_the_alias_is_not_forgotten(registry: Registry) -> None:
    registry.begin_key(ALIAS, "request-1")
    registry.forget_key(ALIAS, KEY_ARN)
    registry.note_key(ALIAS, f"{KEY_ARN}-2")
    registry.forget_key(ALIAS, KEY_ARN)
    noted = registry.key_noted_for(ALIAS)
    assert noted
    assert noted.arn == f"{KEY_ARN}-2"
    registry.forget_key(ALIAS, f"{KEY_ARN}-2")
    assert registry.key_noted_for(ALIAS) is None


def test_an_undo_that_left_something_is_taken_up_by_its_own_execution_alone(registry: Registry) -> None:
    registry.begin_access(ACCESS, EXECUTION_ARN)
    registry.note_former(ACCESS, {"a": 1}, KEY_ARN)
    registry.end_access(ACCESS, EXECUTION_ARN, unfinished=True)

    assert registry.is_unfinished(ACCESS, EXECUTION_ARN)
    assert not registry.is_unfinished(ACCESS, OTHER_EXECUTION)
    assert not registry.take_up(ACCESS, OTHER_EXECUTION)
    assert [access.unfinished for access in registry.accesses()] == [EXECUTION_ARN]
    assert registry.take_up(ACCESS, EXECUTION_ARN)
    assert registry.has_access(ACCESS, EXECUTION_ARN)
    assert registry.former(ACCESS) == (True, {"a": 1})
    assert registry.take_up(ACCESS, EXECUTION_ARN), "a retry after a crash"

    registry.end_access(ACCESS, EXECUTION_ARN)
    assert not registry.is_unfinished(ACCESS, EXECUTION_ARN)
    assert [access.unfinished for access in registry.accesses()] == [None]


def _left_unfinished(registry: Registry) -> None:
    registry.begin_access(ACCESS, EXECUTION_ARN)
    registry.note_former(ACCESS, {"a": 1}, KEY_ARN)
    registry.end_access(ACCESS, EXECUTION_ARN, unfinished=True)


def test_what_an_undo_left_outlives_a_request_that_comes_to_nothing(registry: Registry) -> None:
    _left_unfinished(registry)

    registry.begin_access(ACCESS, OTHER_EXECUTION)
    assert not registry.take_up(ACCESS, EXECUTION_ARN)
    registry.end_access(ACCESS, OTHER_EXECUTION)

    assert registry.is_unfinished(ACCESS, EXECUTION_ARN)
    assert registry.former(ACCESS) == (True, {"a": 1})
    assert registry.take_up(ACCESS, EXECUTION_ARN)


def test_what_an_undo_left_is_nobodys_once_a_request_is_recorded(registry: Registry) -> None:
    _left_unfinished(registry)

    registry.begin_access(ACCESS, OTHER_EXECUTION)
    registry.save_access(RECORD, WANTED)
    registry.end_access(ACCESS, OTHER_EXECUTION)

    assert not registry.is_unfinished(ACCESS, EXECUTION_ARN)
    assert registry.former(ACCESS) == (False, None)
    assert registry.grant_keys(ACCESS) == {KEY_ARN}


def test_whoever_died_with_an_access_runs_no_longer(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    _left_unfinished(registry)
    registry.take_up(ACCESS, EXECUTION_ARN)
    assert registry.is_running(ACCESS)

    _later(monkeypatch, STALE_SECONDS + 1)

    assert not registry.is_running(ACCESS)
    assert [access.is_running for access in registry.accesses()] == [False]
