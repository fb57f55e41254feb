"""report_clean_up: the status is recorded, changes are reported once, and irrevocable grants stay open."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from latchkey.cleanup import report_clean_up as reporting
from latchkey.cleanup.verdict import Reason
from latchkey.errors import TransientAwsError
from latchkey.events.outcomes import RemovedGrant
from latchkey.registry import accesses as status_registry
from latchkey.registry import registry
from latchkey.registry.revocations import Revocation
from latchkey.registry.sweeps import SweepState
from tests import dynamodb
from tests.contract.schemas import validator
from tests.functions.account import TABLE, Account
from tests.functions.clean_up_steps import ACCESS, onboarded
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import Run
from tests.functions.onboarding_steps import Onboarding
from tests.functions.test_report_outcome import caught

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:clean-up-grants:one"
HINT = {"eventId": "e-1", "eventName": "DeleteSourceLocation", "eventTime": "2026-11-22T10:00:00Z"}
LOST = [{"name": "key is enabled", "passed": False, "evidence": "it is Disabled"}]


@pytest.fixture(autouse=True)
def bus(account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    account.open_bus()


@pytest.fixture
def access(run: Run, account: Account) -> Onboarding:
    return onboarded(run, account)


def report(**members: Any) -> dict[str, Any]:
    return {"accessId": ACCESS, "executionArn": EXECUTION} | members


def survey_of(access: Onboarding, *grants: dict[str, Any], exists: bool = False) -> dict[str, Any]:
    return {
        "lookId": "look-1",
        "accessId": ACCESS,
        "at": "2026-11-22T10:00:05Z",
        "ownerExists": exists,
        "ownerEvidence": "it was not described",
        "grants": [*grants],
        "orphaned": bool(grants),
        "graceSeconds": 600,
    }


def found(access: Onboarding, verdict: str) -> dict[str, Any]:
    return {"grantId": "g-1", "keyArn": access.key, "verdict": verdict, "reason": "why", "evidence": []}


def removed(access: Onboarding, by: str = "latchkey", at: str = "2026-11-22T10:10:09Z") -> dict[str, Any]:
    return {
        "grantId": "g-1",
        "keyArn": access.key,
        "removedBy": by,
        "reason": Reason.RESOURCE_GONE.text(),
        "evidence": ["read"],
        "removedAt": at,
    }


def cleaned(*grants: dict[str, Any], restored: bool = False) -> dict[str, Any]:
    return {"removed": [*grants], "kept": [], "restored": restored}


def observed(status: str, lost: list[dict[str, Any]] | None = None, **members: Any) -> dict[str, Any]:
    record = registry().accesses.get(ACCESS)
    reported = {"accessId": ACCESS, "status": status, "lost": lost or [], "version": record.version if record else 0}
    return reported | members


def published(account: Account) -> dict[str, dict[str, Any]]:
    """The published details by detail type; each one matches its schema."""
    reported = {event["detail-type"]: event["detail"] for event in account.published()}
    for kind, detail in reported.items():
        validator(kind.lower().replace(" ", "-")).validate(detail)
    return reported


def unpublished_changes() -> list[Any]:
    """The recorded changes that are not published yet."""
    return [
        one
        for item in dynamodb.client().scan(TableName=TABLE)["Items"]
        for one in item.get("unpublished_changes", {}).get("SS", [])
    ]


def status() -> str:
    record = registry().accesses.get(ACCESS)
    assert record
    return record.status


def test_a_removed_grant_is_reported_with_its_exposure(run: Run, account: Account, access: Onboarding) -> None:
    event = report(hint=HINT, look=survey_of(access, found(access, "orphaned")), cleaned=cleaned(removed(access)))

    result = run("report_clean_up", event | {"observed": observed("gone")})

    reported = published(account)["Grants Cleaned Up"]
    assert (reported["status"], reported["exposureSeconds"], reported["hint"]) == ("gone", 609.0, HINT)
    assert [grant["removedBy"] for grant in reported["removed"]] == ["latchkey"]
    assert result == {
        "published": ["Grants Cleaned Up"],
        "irrevocable": 0,
        "restored": False,
        "continues": False,
        "exposureSeconds": 609.0,
    }
    assert status() == "gone"


def test_without_a_trail_event_the_exposure_starts_with_the_first_survey(
    run: Run, account: Account, access: Onboarding
) -> None:
    grants = [removed(access), removed(access, at="2026-11-22T10:10:15Z"), removed(access, "service", "2026-11-22T11:00:00Z")]

    run("report_clean_up", report(look=survey_of(access, found(access, "orphaned")), cleaned=cleaned(*grants)))

    assert published(account)["Grants Cleaned Up"]["exposureSeconds"] == 610.0


@pytest.mark.parametrize("seen", [(), ("foreign",)])
def test_a_grant_that_was_gone_before_the_survey_was_retired_by_the_service(
    run: Run, account: Account, access: Onboarding, seen: tuple[str, ...]
) -> None:
    first = survey_of(access, *(found(access, verdict) for verdict in seen))

    run("report_clean_up", report(look=first, observed=observed("gone")))

    reported = published(account)["Grants Cleaned Up"]
    assert [(grant["removedBy"], grant["evidence"]) for grant in reported["removed"]] == [("service", ["it was not described"])]
    assert "exposureSeconds" not in reported


@pytest.mark.parametrize("verdict", ["suspect", "orphaned", "in use"])
def test_a_grant_that_is_still_there_was_not_retired(run: Run, account: Account, access: Onboarding, verdict: str) -> None:
    run("report_clean_up", report(look=survey_of(access, found(access, verdict)), observed=observed("gone")))

    assert published(account) == {}


def test_a_removed_grant_is_reported_once(run: Run, account: Account, access: Onboarding) -> None:
    run("report_clean_up", report(look=survey_of(access), observed=observed("gone")))
    assert [*published(account)] == ["Grants Cleaned Up"]

    run("report_clean_up", report(look=survey_of(access), observed=observed("gone")))
    assert published(account) == {}


def test_a_change_of_status_is_recorded_and_published(run: Run, account: Account, access: Onboarding) -> None:
    remedy = ["aws kms enable-key --key-id one"]
    run("report_clean_up", report(observed=observed("revoked", LOST, proposal="enable it", remedy=remedy)))
    reported = published(account)
    assert [*reported] == ["Access Revoked"]
    [lost] = reported["Access Revoked"]["lost"]
    assert lost.items() >= LOST[0].items()
    assert (reported["Access Revoked"]["proposal"], reported["Access Revoked"]["remedy"]) == ("enable it", remedy)
    assert (status(), registry().accesses.failed_checks(ACCESS)) == ("revoked", ("key is enabled",))

    run("report_clean_up", report(observed=observed("active")))
    assert [*published(account)] == ["Access Restored"]
    assert status() == "active"


@pytest.mark.parametrize("state", ["active", "gone", "unmanaged"])
def test_an_unchanged_or_gone_access_is_not_reported_as_revoked(
    run: Run, account: Account, access: Onboarding, state: str
) -> None:
    run("report_clean_up", report(observed=observed(state)))

    assert published(account) == {}
    assert status() == state


def test_a_deleted_resource_without_grants_is_reported_as_gone_and_no_grant_as_removed(run: Run, account: Account) -> None:
    account.add_resources()
    access_id = Onboarding(run, account, system="mediapackage").run_through("record_access").checked["accessId"]
    account.delete_resources()
    account.published()
    event = {"accessId": access_id, "executionArn": EXECUTION, "look": run("clean_up_grants", {"accessId": access_id})}

    run("report_clean_up", event | {"observed": run("observe_access", {"accessId": access_id})})

    reported = published(account)
    assert [*reported] == ["Access Gone"]
    [lost] = reported["Access Gone"]["lost"]
    assert (reported["Access Gone"]["status"], lost["name"], lost["passed"]) == ("gone", "resource is configured", False)
    run("report_clean_up", event | {"observed": run("observe_access", {"accessId": access_id})})
    assert published(account) == {}


def test_a_status_is_reported_once_and_again_for_other_reasons(run: Run, account: Account, access: Onboarding) -> None:
    reported = []
    for name in ("key is enabled", "key is enabled", "grant is there"):
        run("report_clean_up", report(observed=observed("revoked", [LOST[0] | {"name": name}])))
        reported.append([*published(account)])

    assert reported == [["Access Revoked"], [], ["Access Revoked"]]


def test_reporting_twice_equals_once(run: Run, account: Account, access: Onboarding) -> None:
    event = report(observed=observed("revoked", LOST))
    run("report_clean_up", event)
    before = account.snapshot()

    run("report_clean_up", event)

    assert account.snapshot() == before


def refuse_events() -> None:
    at_call("events", "PutEvents", answer_with_error("PutEvents", "InternalException", 500))


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports of other executions publish what is recorded."""
    for module in (status_registry, reporting):
        monkeypatch.setattr(module, "PUBLISHING_PERIOD", timedelta(seconds=-5))


def test_a_removed_grant_whose_event_was_refused_is_published_by_a_later_report(
    monkeypatch: pytest.MonkeyPatch, run: Run, account: Account, access: Onboarding
) -> None:
    event = report(hint=HINT, look=survey_of(access, found(access, "orphaned")), cleaned=cleaned(removed(access)))
    refuse_events()
    with pytest.raises(TransientAwsError):
        run("report_clean_up", event | {"observed": observed("gone")})
    assert (published(account), len(account.items("notice"))) == ({}, 1)
    other = report(executionArn=f"{EXECUTION}-2")
    run("report_clean_up", other)
    assert published(account) == {}  # the first report can still be retried

    later(monkeypatch)
    run("report_clean_up", other)

    reported = published(account)["Grants Cleaned Up"]
    assert (reported["executionArn"], reported["hint"]) == (EXECUTION, HINT)
    assert [grant["grantId"] for grant in reported["removed"]] == ["g-1"]
    assert registry().notices.unpublished() == []
    [kept] = account.items("notice")
    assert (kept["outcomeType"]["S"], json.loads(kept["outcome"]["S"])) == ("Grants Cleaned Up", reported)
    assert {"recordedAt", "publishedAt"} <= {*kept}


def test_a_retry_of_a_published_notice_publishes_nothing(run: Run, account: Account, access: Onboarding) -> None:
    event = report(look=survey_of(access, found(access, "orphaned")), cleaned=cleaned(removed(access)))

    run("report_clean_up", event)
    run("report_clean_up", event | {"executionArn": f"{EXECUTION}-2"})

    assert [event["detail-type"] for event in account.published()] == ["Grants Cleaned Up"]


def test_a_removal_that_was_never_reported_is_reported_by_a_later_cleanup(
    monkeypatch: pytest.MonkeyPatch, run: Run, account: Account, access: Onboarding
) -> None:
    """The execution was aborted between the revocation and the report."""
    registry().revocations.note(Revocation(ACCESS, "g-1", access.key, "it is absent"), "look-1", datetime.now(UTC))
    [noted] = registry().revocations.open(ACCESS)
    outcome = RemovedGrant.model_validate_json(json.dumps(removed(access)))
    registry().revocations.end(noted, "look-1", outcome, gone=True, by_us=True)
    other = report(look=survey_of(access) | {"lookId": "look-2"}, observed=observed("gone"))
    run("report_clean_up", other)
    assert published(account) == {}  # the execution can still report

    later(monkeypatch)
    run("report_clean_up", other)

    reported = published(account)["Grants Cleaned Up"]
    assert [(grant["grantId"], grant["removedBy"]) for grant in reported["removed"]] == [("g-1", "latchkey")]
    run("report_clean_up", other)
    assert published(account) == {}


@pytest.mark.parametrize("onboarded_again", [False, True])
def test_a_grant_that_latchkey_revoked_was_not_retired_by_the_service(
    run: Run, account: Account, access: Onboarding, onboarded_again: bool
) -> None:
    """The cleanup that revoked it could not observe the access, so a later one records that the resource is gone."""
    registry().revocations.note(Revocation(ACCESS, "g-1", access.key, "it is absent"), "look-1", datetime.now(UTC))
    [noted] = registry().revocations.open(ACCESS)
    outcome = RemovedGrant.model_validate_json(json.dumps(removed(access)))
    registry().revocations.end(noted, "look-1", outcome, gone=True, by_us=True)
    run("report_clean_up", report(look=survey_of(access), cleaned=cleaned(removed(access))))
    assert [*published(account)] == ["Grants Cleaned Up"]
    if onboarded_again:
        record = registry().accesses.get(ACCESS)
        assert record
        registry().accesses.save(record, {})

    later_look = survey_of(access) | {"lookId": "look-2"}
    run("report_clean_up", report(executionArn=f"{EXECUTION}-2", look=later_look, observed=observed("gone")))

    reported = [event["detail"]["removed"][0]["removedBy"] for event in account.published()]
    assert reported == (["service"] if onboarded_again else [])
    assert status() == "gone"


def test_a_report_that_was_not_published_is_published_by_a_retry(run: Run, account: Account, access: Onboarding) -> None:
    event = report(observed=observed("revoked", LOST))
    at_call("events", "PutEvents", answer_with_error("PutEvents", "InternalException", 500))
    with pytest.raises(TransientAwsError):
        run("report_clean_up", event)
    assert (published(account), status()) == ({}, "revoked")

    run("report_clean_up", event)

    assert ([*published(account)], status()) == (["Access Revoked"], "revoked")
    assert unpublished_changes() == []


def test_one_of_two_concurrent_reports_publishes_the_change(run: Run, account: Account, access: Onboarding) -> None:
    event, others = report(observed=observed("revoked", LOST)), f"{EXECUTION}-2"
    at_call("dynamodb", "GetItem", lambda: run("report_clean_up", event | {"executionArn": others}), when="after-call")

    run("report_clean_up", event)

    assert [reported["detail"]["executionArn"] for reported in account.published()] == [others]


def test_one_of_two_concurrent_reports_publishes_the_retirement(run: Run, account: Account, access: Onboarding) -> None:
    event, others = report(look=survey_of(access), observed=observed("gone")), f"{EXECUTION}-2"
    at_call("dynamodb", "GetItem", lambda: run("report_clean_up", event | {"executionArn": others}), when="after-call")

    run("report_clean_up", event)

    assert [reported["detail"]["executionArn"] for reported in account.published()] == [others]


def test_a_later_report_publishes_the_change_of_a_crashed_one(
    monkeypatch: pytest.MonkeyPatch, run: Run, account: Account, access: Onboarding
) -> None:
    event = report(observed=observed("revoked", LOST))
    at_call("events", "PutEvents", answer_with_error("PutEvents", "InternalException", 500))
    with pytest.raises(TransientAwsError):
        run("report_clean_up", event)
    other = report(executionArn=f"{EXECUTION}-2", observed=observed("active"))
    run("report_clean_up", other)
    assert [*published(account)] == ["Access Restored"]  # the first report can still be retried

    monkeypatch.setattr(status_registry, "PUBLISHING_PERIOD", timedelta(seconds=-5))
    run("report_clean_up", other | {"observed": observed("active")})

    reported = account.published()
    assert [(event["detail-type"], event["detail"]["executionArn"]) for event in reported] == [("Access Revoked", EXECUTION)]
    assert unpublished_changes() == []


def test_a_retirement_is_reported_with_the_status(run: Run, account: Account, access: Onboarding) -> None:
    """Without an observation nothing is recorded, so another report publishes it."""
    run("report_clean_up", report(look=survey_of(access)))

    assert (published(account), status()) == ({}, "active")


def test_an_observation_of_an_older_version_is_not_reported(run: Run, account: Account, access: Onboarding) -> None:
    event = report(observed=observed("revoked", LOST))
    record = registry().accesses.get(ACCESS)
    assert record
    registry().accesses.save(record, {})

    run("report_clean_up", event)

    assert (published(account), status()) == ({}, "active")


def test_an_unrecorded_access_is_reported_by_its_id(run: Run, account: Account, access: Onboarding) -> None:
    unknown = "mediatailor/sourceLocation/unknown"
    first = survey_of(access, found(access, "orphaned")) | {"accessId": unknown}

    run("report_clean_up", report(accessId=unknown, look=first, cleaned=cleaned(removed(access))))

    reported = published(account)["Grants Cleaned Up"]
    assert (reported["accessId"], reported["system"], reported["status"]) == (unknown, "mediatailor", "gone")


def test_an_irrevocable_grant_is_reported_and_stays_open(run: Run, account: Account, access: Onboarding) -> None:
    """One of two grants was revoked before the revocation of the other one was denied."""
    first = survey_of(access, found(access, "orphaned"))
    for grant in ("g-1", "g-2"):
        registry().revocations.note(Revocation(ACCESS, grant, access.key, "it is absent"), "look-1", datetime.now(UTC))
    gone, stays = registry().revocations.open(ACCESS)
    outcome = RemovedGrant.model_validate_json(json.dumps(removed(access)))
    registry().revocations.end(gone, "look-1", outcome, gone=True, by_us=True)
    failure = caught("AccessDenied", "RevokeGrant failed with AccessDeniedException (400)")

    result = run("report_clean_up", report(look=first, observed=observed("gone"), caught=failure))

    reported = published(account)
    assert result["irrevocable"] == 1
    assert (reported["Grants Cleaned Up"]["status"], "failure" in reported["Grants Cleaned Up"]) == ("gone", False)
    assert [grant["grantId"] for grant in reported["Grants Cleaned Up"]["removed"]] == ["g-1"]
    stuck = reported["Grant Not Revoked"]
    assert (stuck["status"], stuck["grantId"], stuck["keyArn"]) == ("irrevocable", "g-2", access.key)
    assert stuck["failure"] == {"name": "AccessDenied", "message": "RevokeGrant failed with AccessDeniedException (400)"}
    assert "denial" not in stuck
    assert [noted.grant_id for noted in registry().revocations.open(ACCESS)] == [stays.grant_id] == ["g-2"]
    [item] = [item for item in account.items("grant") if item["id"]["S"].endswith("g-2")]
    assert "irrevocableAt" in item


DENIED = (
    "User: arn:aws:sts::111122223333:assumed-role/cleaner/clean_up_grants is not authorized to perform: kms:RevokeGrant on "
    "resource: arn:aws:kms:us-east-1:111122223333:key/k with an explicit deny in a resource-based policy"
)


def test_a_denied_revocation_is_reported_once_with_who_was_denied(run: Run, account: Account, access: Onboarding) -> None:
    registry().revocations.note(Revocation(ACCESS, "g-1", access.key, "it is absent"), "look-1", datetime.now(UTC))
    [noted] = registry().revocations.open(ACCESS)
    registry().revocations.note_failure(noted, "AccessDenied", f"RevokeGrant failed with AccessDeniedException (400): {DENIED}")
    event = report(
        look=survey_of(access, found(access, "orphaned")), observed=observed("gone"), caught=caught("AccessDenied", "x")
    )

    run("report_clean_up", event)

    reported = published(account)
    assert [*reported] == ["Grant Not Revoked"]
    [marked] = registry().revocations.open(ACCESS)
    assert marked.irrevocable_since
    assert datetime.fromisoformat(reported["Grant Not Revoked"]["since"]) == marked.irrevocable_since
    assert reported["Grant Not Revoked"]["denial"] == {
        "principal": "arn:aws:sts::111122223333:assumed-role/cleaner/clean_up_grants",
        "action": "kms:RevokeGrant",
        "resource": "arn:aws:kms:us-east-1:111122223333:key/k",
        "reason": "with an explicit deny in a resource-based policy",
    }
    run("report_clean_up", event | {"executionArn": f"{EXECUTION}-2"})
    assert published(account) == {}  # the next sweep meets the same denial

    registry().revocations.note_failure(noted, "AccessDenied", DENIED.replace("resource-based", "service control"))
    run("report_clean_up", event | {"executionArn": f"{EXECUTION}-3"})
    assert [*published(account)] == ["Grant Not Revoked"]


def test_a_resource_that_a_sweep_found_late_was_gone_since_a_range_of_time(
    run: Run, account: Account, access: Onboarding
) -> None:
    seen = datetime.fromisoformat("2026-11-22T09:00:05Z")
    registry().sweeps.complete(SweepState(seen + timedelta(hours=2), {ACCESS: seen}))

    run("report_clean_up", report(look=survey_of(access, found(access, "orphaned")), cleaned=cleaned(removed(access))))

    reported = published(account)["Grants Cleaned Up"]
    assert (reported["exposureSecondsAtLeast"], reported["exposureSecondsAtMost"]) == (604.0, 4204.0)
    assert reported["exposureSeconds"] == 4204.0


def test_a_trail_event_about_something_else_gives_no_exact_exposure(run: Run, account: Account, access: Onboarding) -> None:
    event = report(hint=HINT | {"eventName": "PutKeyPolicy"}, look=survey_of(access, found(access, "orphaned")))

    run("report_clean_up", event | {"cleaned": cleaned(removed(access))})

    reported = published(account)["Grants Cleaned Up"]
    assert (reported["exposureSeconds"], reported["exposureSecondsAtLeast"]) == (604.0, 604.0)
    assert "exposureSecondsAtMost" not in reported


def test_a_notice_of_an_earlier_version_is_published_and_kept(run: Run, account: Account, access: Onboarding) -> None:
    """Version 0.1.0 recorded only the access and the change, and deleted the item after the publication."""
    at = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    change = {
        "kind": "Grants Cleaned Up",
        "detail": json.dumps({"outcomeId": "o-1"}),
        "executionArn": f"{EXECUTION}-0",
        "at": at,
    }
    item = {
        "kind": {"S": "notice"},
        "id": {"S": f"{ACCESS} o-1"},
        "accessId": {"S": ACCESS},
        "notice": {"S": json.dumps(change)},
    }
    account.dynamodb.put_item(TableName=TABLE, Item=item)

    run("report_clean_up", report())
    run("report_clean_up", report())

    assert [event["detail"] for event in account.published()] == [{"outcomeId": "o-1"}]
    [kept] = account.items("notice")
    assert (kept["outcomeType"]["S"], kept["outcome"]["S"]) == (change["kind"], change["detail"])
    assert {"recordedAt", "publishedAt"} <= {*kept}


@pytest.mark.parametrize("detail", [{"outcomeId": "o-1"}, {}])
def test_a_change_of_status_stays_in_the_registry(
    run: Run, account: Account, access: Onboarding, detail: dict[str, str]
) -> None:
    """An earlier version recorded the change on the access, and a later report publishes it."""
    record = registry().accesses.get(ACCESS)
    assert record
    text = {"kind": "Access Revoked", "detail": json.dumps(detail), "executionArn": f"{EXECUTION}-0"}
    change = status_registry.StatusChange.model_validate(text | {"at": datetime.now(UTC) - timedelta(hours=1)})
    registry().accesses.record_status(record, "revoked", ["key is enabled"], changes=[change])

    run("report_clean_up", report())

    assert [event["detail-type"] for event in account.published()] == ["Access Revoked"]
    [kept] = account.items("notice")
    assert (kept["outcomeType"]["S"], json.loads(kept["outcome"]["S"]), "publishedAt" in kept) == (
        "Access Revoked",
        detail,
        True,
    )
    assert registry().accesses.unpublished(ACCESS) == []


def test_a_grant_that_an_earlier_version_could_not_revoke_is_reported_with_its_time(
    run: Run, account: Account, access: Onboarding
) -> None:
    """Version 0.1.0 recorded no error."""
    since = "2026-11-21T08:00:00.000+00:00"
    registry().revocations.note(Revocation(ACCESS, "g-1", access.key, "it is absent"), "look-1", datetime.now(UTC))
    [item] = account.items("grant")
    account.dynamodb.put_item(TableName=TABLE, Item=item | {"irrevocableAt": {"S": since}})

    run("report_clean_up", report(look=survey_of(access), caught=caught("AccessDenied", DENIED)))

    reported = published(account)["Grant Not Revoked"]
    assert datetime.fromisoformat(reported["since"]) == datetime.fromisoformat(since)
    assert (reported["failure"]["name"], reported["denial"]["action"]) == ("AccessDenied", "kms:RevokeGrant")
    assert reported["remedy"] == [f"aws kms revoke-grant --key-id {access.key} --grant-id g-1"]


def test_other_findings_are_reported_once_and_their_end(run: Run, account: Account, access: Onboarding) -> None:
    finding = {"name": "key policy admits the users", "passed": False, "evidence": "missing statements: LatchkeyUsers"}
    kinds = []
    for findings in ([finding], [finding], [], []):
        event = report(observed=observed("active", findings=findings, remedy=["aws events put-events"]))
        run("report_clean_up", event)
        reported = published(account)
        kinds += [(kind, detail.get("remedy"), status()) for kind, detail in reported.items()]

    assert kinds == [("Drift Detected", ["aws events put-events"], "active"), ("Drift Resolved", [], "active")]


def test_findings_of_a_resource_that_is_gone_are_forgotten(run: Run, account: Account, access: Onboarding) -> None:
    finding = {"name": "key policy admits the users", "passed": False, "evidence": "missing statements: LatchkeyUsers"}
    run("report_clean_up", report(observed=observed("active", findings=[finding])))
    account.published()

    run("report_clean_up", report(observed=observed("gone")))

    assert published(account) == {}
    assert registry().accesses.findings(ACCESS) == ()


def test_a_restored_resource_is_counted(run: Run, account: Account, access: Onboarding) -> None:
    event = report(look=survey_of(access, exists=True), cleaned=cleaned(removed(access), restored=True))

    assert run("report_clean_up", event)["restored"] is True
    assert published(account)["Grants Cleaned Up"]["restored"] is True
