"""Each decision and change of an access is one audit record, even if it is delivered twice, late, or to two executions."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from latchkey.access.audit_record import EMPTY, ChainedRecord
from latchkey.access.record import AccessRecord
from latchkey.audit.chain import problems_of
from latchkey.audit.facts import FUNCTIONS, Action, fact_of, recorded_before
from latchkey.errors import TransientAwsError
from latchkey.events.cleanup import KeptGrant
from latchkey.registry.accesses import StatusChange
from latchkey.registry.changes import ItemChange
from latchkey.registry.journal import DETACHMENT, KEY, REQUEST, RESOURCE, secret_deletion_step
from latchkey.registry.notices import RecordedNotice
from latchkey.registry.requests import RequestRef
from latchkey.registry.revocations import Revocation
from tests import dynamodb
from tests.unit.audited import AUDIT, Audited, audited_registry
from tests.unit.samples import EXECUTION_ARN, KEY_ARN, SECRET_ARN

ACCESS = "mediatailor/sourceLocation/sports-origin"
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
GRANT = Revocation(ACCESS, "grant-1", KEY_ARN, "the resource is gone", SECRET_ARN)


@pytest.fixture
def audited() -> Audited:
    return audited_registry()


def record(**changes: Any) -> AccessRecord:
    known: dict[str, Any] = {
        "access_id": ACCESS,
        "system": "mediatailor",
        "status": "active",
        "request_id": "request-1",
        "key_arn": KEY_ARN,
        "secret_arn": SECRET_ARN,
        "resource_arn": None,
    }
    return AccessRecord(**known | changes)


def test_a_change_is_recorded_before_and_after_its_call(audited: Audited) -> None:
    audited.registry.locks.lock(ACCESS, EXECUTION_ARN, request=RequestRef("request-1", "hash"))
    journal = audited.registry.journal_of(EXECUTION_ARN, ACCESS, "default")
    journal.intend(KEY, {"alias": "alias/a"}, found={"alias": None})
    journal.complete(KEY, {"arn": KEY_ARN})

    begun, intended, made = audited.facts(ACCESS)

    assert begun["action"] == "chain-begun"
    assert intended["action"] == "change-intended"
    assert (intended["before"], intended["after"]) == ({"alias": None}, {"alias": "alias/a"})
    assert (intended["requestId"], intended["executionArn"], intended["tenant"]) == ("request-1", EXECUTION_ARN, "default")
    assert (intended["principal"], intended["subject"]) == ({"function": "create_key"}, "21-key")
    assert (made["action"], made["evidence"]) == ("change-made", {"result": {"arn": KEY_ARN}})


def test_an_accepted_request_says_who_sent_what(audited: Audited) -> None:
    journal = audited.registry.journal.of(EXECUTION_ARN, ACCESS, "default")
    journal.intend(REQUEST, {"requestId": "request-1", "senderAccount": "111122223333", "eventId": "e", "request": {"a": 1}})

    _, accepted = audited.facts(ACCESS)

    assert (accepted["action"], accepted["requestId"]) == ("request-accepted", "request-1")
    assert accepted["principal"] == {"senderAccount": "111122223333", "eventId": "e"}
    assert accepted["after"] == {"request": {"a": 1}}


def test_the_steps_of_a_rollback_are_facts(audited: Audited) -> None:
    journal = audited.registry.journal.of(EXECUTION_ARN, ACCESS, "default")
    journal.intend(KEY, {"alias": "alias/a"})
    journal.intend(RESOURCE, {"secret": "b"})
    journal.note_undone(KEY, "scheduled the key for deletion")
    journal.note_evidence(KEY, {"reads": ["no grant"]})
    journal.leave(KEY, "the key is in use")
    journal.finish(KEY)
    journal.abandon(RESOURCE, "somebody changed it")

    facts = audited.facts(ACCESS)[3:]

    assert [fact["action"] for fact in facts] == [
        "change-rolled-back",
        "evidence-read",
        "change-left",
        "change-rolled-back",
        "change-left",
    ]
    assert {fact["principal"]["function"] for fact in facts} == {"undo_onboarding"}
    assert facts[1]["evidence"] == {"reads": ["no grant"]}


def test_the_removals_of_an_offboarding_are_facts_of_its_functions(audited: Audited) -> None:
    journal = audited.registry.journal.of(EXECUTION_ARN, ACCESS, "default")
    journal.note_removal(DETACHMENT, found={"a": 1})
    step = secret_deletion_step(SECRET_ARN)
    journal.note_removal(step, wanted={"arn": SECRET_ARN})
    journal.note_evidence(step, {"reads": ["unused"]})

    facts = audited.facts(ACCESS)[1:]

    assert [(fact["action"], fact["principal"]["function"]) for fact in facts] == [
        ("change-intended", "detach_resource"),
        ("change-intended", "delete_secret"),
        ("evidence-read", "delete_secret"),
    ]


def test_a_settled_journal_and_a_lock_are_no_facts(audited: Audited) -> None:
    audited.registry.locks.lock(ACCESS, EXECUTION_ARN)
    journal = audited.registry.journal.of(EXECUTION_ARN, ACCESS, "default")
    journal.intend(REQUEST, {})
    assert audited.actions(ACCESS) == ["chain-begun", "request-accepted"]

    journal.intend(REQUEST, {}, found={"again": True})
    journal.settle()
    audited.registry.locks.unlock(ACCESS, EXECUTION_ARN)
    with audited.registry.lease("key"):
        pass

    assert audited.actions(ACCESS) == ["chain-begun", "request-accepted"]


def test_what_is_known_about_an_access_is_recorded_when_it_changes(audited: Audited) -> None:
    saved = audited.registry.accesses.save(record(), {"requestId": "request-1"})
    audited.registry.accesses.record_status(saved, "revoked", ["secret policy"])
    audited.registry.phases.begin(ACCESS, "rotating", "request-2")

    begun, recorded, observed, rotating = audited.facts(ACCESS)

    assert begun["evidence"]["accessExistedBefore"] is False
    assert (recorded["action"], recorded["before"], recorded["requestId"]) == ("access-recorded", None, "request-1")
    assert recorded["after"].items() >= {"status": "active", "keyArn": KEY_ARN, "wanted": {"requestId": "request-1"}}.items()
    assert (observed["action"], observed["before"], observed["principal"]) == (
        "status-observed",
        {"status": "active"},
        {"function": "report_clean_up"},
    )
    assert observed["after"] == {"status": "revoked", "findings": [], "lost": ["secret policy"]}
    assert (rotating["action"], rotating["requestId"], rotating["after"]["phase"]) == (
        "access-changed",
        "request-2",
        "rotating",
    )


def test_a_revocation_is_a_decision_a_change_and_a_result(audited: Audited) -> None:
    revocations = audited.registry.revocations
    revocations.note(GRANT, "survey-1", NOW)
    revocations.begin(GRANT)
    revocations.note_failure(GRANT, "AccessDenied", "no")
    revocations.mark_irrevocable(GRANT)
    revocations.note_altering(GRANT, {"a": 1})
    revocations.note_put_back(GRANT)
    revocations.confirm(GRANT)
    revocations.end(GRANT, "survey-1", KeptGrant(grantId="grant-1", keyArn=KEY_ARN, reason="r"), gone=True, by_us=True)
    revocations.forget_revocation(GRANT)

    facts = audited.facts(ACCESS)[1:]

    assert [fact["action"] for fact in facts] == [
        "revocation-decided",
        "revocation-failed",
        "revocation-failed",
        "grant-restored",
        "grant-restored",
        "grant-revoked",
        "revocation-closed",
    ]
    assert facts[0]["after"]["reason"] == "the resource is gone"
    assert facts[0]["evidence"] == {"grantId": "grant-1", "keyArn": KEY_ARN, "secretArn": SECRET_ARN}
    assert facts[-1]["after"]["gone"] is True


def test_an_event_says_which_trail_event_and_principal_caused_it(audited: Audited) -> None:
    hint = {"eventId": "trail-1", "principal": "arn:aws:iam::111122223333:role/Engineer"}
    detail = json.dumps({"tenant": "default", "status": "revoked", "executionArn": EXECUTION_ARN, "hint": hint})
    change = StatusChange(kind="Access Revoked", detail=detail, executionArn=EXECUTION_ARN, at=NOW)
    audited.registry.notices.record(RecordedNotice(ACCESS, "outcome-1", change))
    audited.registry.notices.keep_published(RecordedNotice(ACCESS, "outcome-1", change))

    _, event = audited.facts(ACCESS)

    assert (event["action"], event["cloudTrailEventId"]) == ("event-recorded", "trail-1")
    assert event["principal"] == {"function": "report_clean_up", "cloudTrailPrincipal": hint["principal"]}
    assert event["after"] == {"outcomeType": "Access Revoked", "status": "revoked"}


def test_the_outcome_of_a_request_is_one_record(audited: Audited) -> None:
    ref = RequestRef("request-1", "hash")
    audited.registry.requests.receive(ref, "event-1", EXECUTION_ARN)
    outcome = json.dumps(
        {"accessId": ACCESS, "requestId": "request-1", "tenant": "default", "status": "active", "changed": True}
    )
    audited.registry.requests.record_outcome(ref, "outcome-1", "Access Onboarded", outcome)
    audited.registry.requests.record_outcome(ref, "outcome-1", "Access Onboarded", outcome)

    _, recorded = audited.facts(ACCESS)

    assert (recorded["action"], recorded["requestId"], recorded["executionArn"]) == (
        "outcome-recorded",
        "request-1",
        EXECUTION_ARN,
    )
    assert recorded["after"] == {"outcomeType": "Access Onboarded", "status": "active", "changed": True}


def test_a_request_about_no_access_is_in_a_chain_of_its_tenant(audited: Audited) -> None:
    ref = RequestRef("request-1", "hash", "sports")
    audited.registry.requests.receive(ref, "event-1", EXECUTION_ARN)
    audited.registry.requests.record_outcome(ref, "outcome-1", "Request Rejected", json.dumps({"status": "rejected"}))

    assert audited.actions("#requests/sports") == ["chain-begun", "outcome-recorded"]


def change(kind: str, before: dict[str, Any], after: dict[str, Any]) -> ItemChange:
    return ItemChange("event", NOW, kind, "id", before, after)


@pytest.mark.parametrize("kind", ["access", "finding", "grant", "notice", "request"])
def test_an_item_that_nobody_removes_is_a_fact_if_it_is_removed(kind: str) -> None:
    fact = fact_of(change(kind, {"accessId": ACCESS, "outcome": "{}"}, {}))

    assert fact
    assert (fact.action, fact.before) == (Action.ITEM_REMOVED, {"accessId": ACCESS, "outcome": {}})


def test_a_finding_is_a_fact_if_it_changes() -> None:
    found = fact_of(change("finding", {}, {"accessId": ACCESS, "since": "now"}))

    assert found
    assert (found.action, found.before, found.after) == (Action.FINDING_CHANGED, None, {"accessId": ACCESS, "since": "now"})
    assert fact_of(change("finding", {"since": "now"}, {"since": "now"})) is None


@pytest.mark.parametrize("kind", ["lease", "plan", "resource", "slot", "sweep"])
def test_the_work_of_the_registry_itself_is_no_fact(kind: str) -> None:
    assert fact_of(change(kind, {}, {"accessId": ACCESS})) is None


@pytest.mark.parametrize("text", ["{", "[" * 100_000, 5, None, ["a"]])
@pytest.mark.parametrize(
    ("kind", "name"), [("journal", "wanted"), ("request", "outcome"), ("notice", "outcome"), ("access", "wanted")]
)
def test_whatever_an_item_contains_is_recorded(audited: Audited, kind: str, name: str, text: Any) -> None:
    fact = fact_of(ItemChange("event", NOW, kind, "execution/00-request", {}, {name: text, "accessId": ACCESS}))

    assert fact is None if text is None and kind != "notice" else fact


def test_a_second_change_of_the_same_decision_is_no_fact() -> None:
    assert fact_of(change("grant", {"taken": True, "endedAt": "a"}, {"taken": False, "endedAt": "a"})) is None
    assert fact_of(change("grant", {"tries": 1}, {"tries": 2})) is None


def test_a_decision_that_is_made_again_is_a_fact() -> None:
    again = fact_of(change("grant", {"endedAt": "a", "reason": "r"}, {"reason": "r"}))

    assert again
    assert again.action is Action.REVOCATION_DECIDED


def test_an_access_that_was_recorded_before_begins_its_chain_with_a_record_that_says_so(audited: Audited) -> None:
    audited.registry.accesses.save(record(), {"requestId": "request-1"})
    audited.delivered = len(dynamodb.stream_of("accesses"))  # the stream was enabled afterward
    audited.registry.phases.begin(ACCESS, "rotating", "request-2")
    batch = dynamodb.stream_of("accesses")[audited.delivered :]
    for one in batch:
        one["eventSourceARN"] = one["eventSourceARN"].rpartition("/")[0] + "/2999-01-01T00:00:00.000"

    assert audited.append(batch) == 1

    first = json.loads(audited.chain(ACCESS)[0].text)
    assert first["evidence"] == {"accessExistedBefore": True, "recordsSince": "2999-01-01T00:00:00.000"}
    assert (
        first["after"].items() >= {"status": "active", "requestId": "request-1", "wanted": {"requestId": "request-1"}}.items()
    )


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, False),
        ({"version": 1}, True),
        ({"version": 1, "recordedAt": "2026-11-22T07:59:59.999+00:00"}, True),
        ({"version": 1, "recordedAt": "2026-11-22T08:00:01.000+00:00"}, False),
    ],
)
def test_an_access_existed_before_if_it_was_recorded_before_the_stream(item: dict[str, Any], expected: bool) -> None:
    assert recorded_before(item, "2026-11-22T08:00:00.123") is expected


def test_a_batch_that_is_delivered_twice_is_appended_once(audited: Audited) -> None:
    audited.registry.journal.of(EXECUTION_ARN, ACCESS, "default").intend(KEY, {})
    batch = dynamodb.stream_of("accesses")

    assert (audited.append(batch), audited.append(batch)) == (1, 0)

    audited.registry.journal.of(EXECUTION_ARN, ACCESS, "default").complete(KEY, {})
    assert audited.append(dynamodb.stream_of("accesses")) == 1
    assert_whole(audited)


def test_a_long_batch_is_appended_in_order(audited: Audited) -> None:
    journal = audited.registry.journal.of(EXECUTION_ARN, ACCESS, "default")
    for number in range(70):
        journal.intend(f"{number:02d}-key", {"number": number})

    assert audited.deliver() == 70

    assert [fact["after"]["number"] for fact in audited.facts(ACCESS)[1:]] == [*range(70)]
    assert_whole(audited)


def test_executions_that_append_to_one_chain_at_once_lose_nothing(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = audited.registry.journal.of(EXECUTION_ARN, ACCESS, "default")
    journal.intend(KEY, {})
    journal.intend(RESOURCE, {})
    first, second = dynamodb.stream_of("accesses")
    write = dynamodb.client().transact_write_items

    def overtaken(**transaction: Any) -> Any:
        monkeypatch.undo()
        audited.append([second])
        return write(**transaction)

    monkeypatch.setattr(dynamodb.client(), "transact_write_items", overtaken)

    assert audited.append([first]) == 1

    assert [fact["subject"] for fact in audited.facts(ACCESS)] == ["chain", RESOURCE, KEY]
    assert_whole(audited)


def test_a_chain_that_always_moves_is_tried_again_by_lambda(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    audited.registry.journal.of(EXECUTION_ARN, ACCESS, "default").intend(KEY, {})

    def moved(**_: Any) -> None:
        response: Any = {
            "Error": {"Code": "TransactionCanceledException"},
            "CancellationReasons": [{"Code": "ConditionalCheckFailed"}],
        }
        raise ClientError(response, "TransactWriteItems")

    monkeypatch.setattr(dynamodb.client(), "transact_write_items", moved)

    with pytest.raises(TransientAwsError):
        audited.deliver()


@pytest.mark.parametrize(
    ("code", "reasons", "expected"),
    [
        ("TransactionCanceledException", [{"Code": "None"}, {"Code": "TransactionConflict"}], TransientAwsError),
        ("ProvisionedThroughputExceededException", [], TransientAwsError),
    ],
)
def test_a_transaction_that_fails_for_another_reason_fails_the_batch(
    audited: Audited, monkeypatch: pytest.MonkeyPatch, code: str, reasons: list[Any], expected: type[Exception]
) -> None:
    def failing(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code}, "CancellationReasons": reasons}, "TransactWriteItems")

    monkeypatch.setattr(dynamodb.client(), "transact_write_items", failing)

    with pytest.raises(expected):
        audited.audit.append(ACCESS, EMPTY, [ChainedRecord("a", 1, "h", "{}")])


def test_heads_that_dynamodb_does_not_read_fail_the_batch(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    unread = {AUDIT: {"Keys": [{"accessId": {"S": ACCESS}, "id": {"S": "head"}}]}}
    monkeypatch.setattr(dynamodb.client(), "batch_get_item", lambda **_: {"Responses": {}, "UnprocessedKeys": unread})

    with pytest.raises(TransientAwsError):
        audited.audit.heads([ACCESS])


def test_a_long_member_is_replaced_by_its_hash(audited: Audited) -> None:
    audited.registry.journal.of(EXECUTION_ARN, ACCESS, "default").intend(KEY, {"long": "a" * 100_000})

    fact = audited.facts(ACCESS)[1]

    assert fact["after"].keys() == {"omittedCharacters", "sha256"}
    assert_whole(audited)


def test_every_function_that_is_named_exists() -> None:
    from tests.contract.artifacts import FOLDERS

    assert set(FUNCTIONS.values()) <= {*FOLDERS}


def assert_whole(audited: Audited) -> None:
    assert problems_of(ACCESS, audited.chain(ACCESS), audited.head(ACCESS)) == []
