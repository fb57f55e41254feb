"""report_outcome: one outcome for each request, recorded once and published at least once."""

import json
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.errors import TransientAwsError
from latchkey.events.outcomes import OUTCOMES
from latchkey.registry import registry
from latchkey.registry.journal import KEY, REQUEST, RequestJournal
from latchkey.tags import DEFAULT_TENANT
from tests.functions.account import ACCOUNT, REGION, TABLE, Account
from tests.functions.onboarding_requests import EXECUTION, NAME, Run

KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
COMMON = {"requestId": "request-1", "contentHash": "c" * 64, "executionArn": EXECUTION, "system": "mediatailor"}
ONBOARDED = COMMON | {
    "detailType": "Access Onboarded",
    "accessId": f"mediatailor/sourceLocation/{NAME}",
    "changed": True,
    "checks": [{"name": "key is enabled", "passed": True, "evidence": f"{KEY_ARN} is Enabled", "result": "passed"}],
    "resources": {"keyArn": KEY_ARN, "grantId": "0c237476b39f8bc44e45212e08498fbe"},
}
OTHER_EXECUTION = {"executionArn": f"{EXECUTION}-2"}


def caught(name: str, message: str) -> dict[str, str]:
    """The output of Catch for an error of a function."""
    return {"Error": name, "Cause": json.dumps({"errorMessage": message, "errorType": name, "stackTrace": []})}


PROBLEMS = [{"place": "resource.header", "rule": "is missing"}, {"place": "system", "rule": "is missing"}]
REJECTED = COMMON | {
    "detailType": "Request Rejected",
    "caught": caught("InvalidRequest", json.dumps({"problems": PROBLEMS})),
}
FAILED = COMMON | {"detailType": "Request Failed", "caught": caught("AccessDenied", "CreateKey failed with AccessDenied (400)")}
REPORTS = {"onboarded": ONBOARDED, "rejected": REJECTED, "failed": FAILED}


@pytest.fixture(autouse=True)
def bus(account: Account) -> None:
    account.open_bus()


def test_a_success_contains_checks_and_resources(run: Run, account: Account) -> None:
    run("report_outcome", ONBOARDED)

    [event] = account.published()
    assert (event["source"], event["detail-type"], event["resources"]) == ("latchkey", "Access Onboarded", [KEY_ARN])
    outcome = event["detail"]
    assert (outcome["status"], outcome["changed"]) == ("active", True)
    assert (outcome["contentHash"], "eventId" in outcome) == ("c" * 64, False)
    assert (outcome["checks"], outcome["resources"]) == (ONBOARDED["checks"], ONBOARDED["resources"])


def test_a_success_without_changes_is_unchanged(run: Run, account: Account) -> None:
    run("report_outcome", ONBOARDED | {"changed": False})

    [event] = account.published()
    assert (event["detail"]["status"], event["detail"]["changed"]) == ("unchanged", False)


def test_a_rejection_lists_every_problem(run: Run, account: Account) -> None:
    run("report_outcome", REJECTED)

    [event] = account.published()
    assert event["detail-type"] == "Request Rejected"
    assert (event["detail"]["status"], event["detail"]["errors"]) == ("rejected", PROBLEMS)


def test_a_failure_contains_the_error(run: Run, account: Account) -> None:
    run("report_outcome", FAILED)

    [event] = account.published()
    assert event["detail-type"] == "Request Failed"
    assert event["detail"]["failure"] == {"name": "AccessDenied", "message": "CreateKey failed with AccessDenied (400)"}


def test_an_outcome_names_the_event_and_the_content_of_its_request(run: Run, account: Account) -> None:
    run("report_outcome", REJECTED | {"eventId": "event-1", "tenant": "sports"})

    [event], [item] = account.published(), account.items("request")
    assert (event["detail"]["eventId"], event["detail"]["contentHash"]) == ("event-1", "c" * 64)
    assert item["id"]["S"] == "sports/request-1"


def test_a_failure_contains_the_rollback_steps(run: Run, account: Account) -> None:
    undone = [f"{KEY} is scheduled for deletion in 7 days"]
    run("report_outcome", FAILED | {"undone": undone})

    [event] = account.published()
    assert (event["detail"]["undone"], event["detail"]["changed"]) == (undone, False)


@pytest.mark.parametrize("left", [True, False])
def test_a_failure_reports_whether_changes_remain(run: Run, account: Account, left: bool) -> None:
    run("report_outcome", FAILED | {"changed": left})

    [event] = account.published()
    assert event["detail"]["changed"] is left


@pytest.mark.parametrize(("execution", "running"), [(EXECUTION, False), (f"{EXECUTION}-2", True)])
def test_a_report_unlocks_only_the_access_that_its_execution_locked(
    run: Run, account: Account, execution: str, running: bool
) -> None:
    access = {"kind": "access", "id": ONBOARDED["accessId"], "running": execution, "undoing": execution}
    account.dynamodb.put_item(TableName=TABLE, Item={name: {"S": value} for name, value in access.items()})

    run("report_outcome", ONBOARDED)

    [item] = account.items("access")
    assert {name: name in item for name in ("running", "undoing")} == dict.fromkeys(("running", "undoing"), running)


@pytest.mark.parametrize(
    "cause",
    [
        "",
        "Lambda timed out with canary",
        json.dumps(["canary"]),
        json.dumps({"errorMessage": "canary", "errorType": "KeyError"}),
    ],
    ids=["none", "text", "list", "another error"],
)
def test_only_the_name_of_a_foreign_error_is_reported(run: Run, account: Account, cause: str) -> None:
    run("report_outcome", FAILED | {"caught": {"Error": "States.Timeout", "Cause": cause}})

    [event] = account.published()
    assert event["detail"]["failure"] == {"name": "States.Timeout", "message": ""}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_the_published_outcome_is_the_recorded_one_and_fits_its_model(
    run: Run, account: Account, report: dict[str, Any]
) -> None:
    reported = run("report_outcome", report)

    [event], [item] = account.published(), account.items("request")
    assert event["detail"] == json.loads(item["outcome"]["S"])
    own = {"outcomeId": event["detail"]["outcomeId"], "crossedTenants": False}
    assert reported == own | {"detailType": event["detail-type"]}
    assert OUTCOMES[event["detail-type"]].model_validate_json(json.dumps(event["detail"])).request_id == "request-1"


def test_reporting_twice_records_once_and_publishes_the_same_again(run: Run, account: Account) -> None:
    first = run("report_outcome", ONBOARDED)
    before = account.snapshot()

    assert run("report_outcome", ONBOARDED) == first
    assert account.snapshot() == before
    one, two = account.published()
    assert one["detail"] == two["detail"]


def test_a_second_execution_publishes_the_recorded_outcome(run: Run, account: Account) -> None:
    first = run("report_outcome", ONBOARDED)

    assert run("report_outcome", FAILED | OTHER_EXECUTION) == first
    assert [event["detail-type"] for event in account.published()] == ["Access Onboarded", "Access Onboarded"]


def test_a_conflicting_request_under_the_same_id_has_an_outcome_of_its_own(run: Run, account: Account) -> None:
    run("report_outcome", ONBOARDED)
    conflicting = REJECTED | OTHER_EXECUTION | {"contentHash": "d" * 64}

    assert run("report_outcome", conflicting) == run("report_outcome", conflicting)

    assert len(account.items("request")) == 2
    assert [event["detail-type"] for event in account.published()] == ["Access Onboarded", *["Request Rejected"] * 2]


def test_a_retry_publishes_an_event_that_the_bus_rejected(run: Run, account: Account) -> None:
    response = {
        "FailedEntryCount": 1,
        "Entries": [{"ErrorCode": "InternalFailure"}],
        "ResponseMetadata": {"HTTPStatusCode": 200},
    }
    times = [(type("Answer", (), {"status_code": 200})(), response)]

    def reject_once(**_: Any) -> Any:
        return times.pop() if times else None

    clients.events().meta.events.register("before-call.events.PutEvents", reject_once)

    with pytest.raises(TransientAwsError):
        run("report_outcome", ONBOARDED)
    assert account.published() == []

    run("report_outcome", ONBOARDED)

    assert [event["detail-type"] for event in account.published()] == ["Access Onboarded"]


ACCESS_ID = f"mediatailor/sourceLocation/{NAME}"


@pytest.fixture
def journal() -> RequestJournal:
    """The journal of a running request that has created a key."""
    registry().locks.lock(ACCESS_ID, EXECUTION)
    journal = registry().journal.of(EXECUTION, ACCESS_ID, DEFAULT_TENANT)
    for step in (REQUEST, KEY):
        journal.intend(step, None)
    return journal


def outcome_in_registry(account: Account) -> dict[str, Any]:
    [recorded] = [json.loads(item["outcome"]["S"]) for item in account.items("request") if "outcome" in item]
    outcome: dict[str, Any] = recorded
    return outcome


def test_a_success_settles_the_journal(run: Run, journal: RequestJournal) -> None:
    run("report_outcome", ONBOARDED | {"accessId": ACCESS_ID})
    assert journal.entries() == []
    assert not registry().locks.is_locked(ACCESS_ID)


def test_what_is_not_rolled_back_stays_in_the_journal_and_is_reported(
    run: Run, account: Account, journal: RequestJournal
) -> None:
    journal.leave(KEY, "a secret is under it")
    journal.finish(REQUEST)

    for _ in range(2):
        run("report_outcome", FAILED | {"accessId": ACCESS_ID, "changed": False})

    assert [entry.step for entry in journal.entries()] == [KEY]
    outcome = outcome_in_registry(account)
    assert (outcome["changed"], outcome["left"]) == (True, ["a secret is under it"])


def test_steps_of_a_rollback_that_ended_in_an_error_are_reported(run: Run, account: Account, journal: RequestJournal) -> None:
    journal.note_undone(KEY, "the key is deleted")
    journal.finish(KEY)

    run("report_outcome", FAILED | {"accessId": ACCESS_ID, "changed": False})

    outcome = outcome_in_registry(account)
    assert (outcome["changed"], outcome["undone"]) == (False, ["the key is deleted"])
    assert journal.entries() == []


def test_what_a_person_decides_about_is_reported_once(run: Run, account: Account, journal: RequestJournal) -> None:
    journal.finish(REQUEST)
    journal.abandon(KEY, "a partner can use it")

    run("report_outcome", FAILED | {"accessId": ACCESS_ID, "changed": False})

    assert (outcome_in_registry(account)["changed"], journal.entries()) == (True, [])


def test_a_late_failure_does_not_keep_the_journal_of_an_onboarded_access(run: Run, journal: RequestJournal) -> None:
    run("report_outcome", ONBOARDED)
    registry().locks.lock(ACCESS_ID, EXECUTION)

    run("report_outcome", FAILED | {"accessId": ACCESS_ID, "changed": True})

    assert journal.entries() == []
    assert not registry().locks.is_locked(ACCESS_ID)
