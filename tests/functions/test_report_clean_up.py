"""report_clean_up: the state is recorded, what changed is told once, and what could not be revoked stays open."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from latchkey.cleanup.verdict import Reason
from latchkey.errors import TransientAwsError
from latchkey.events.cleanup import RemovedGrant
from latchkey.registry import accesses as status_registry
from latchkey.registry import registry
from latchkey.registry.revocations import Revocation
from tests.contract.schemas import validator
from tests.functions.account import TABLE, Account, client
from tests.functions.asking import Run
from tests.functions.carrying_out import Onboarding
from tests.functions.cleaning import ACCESS, at_call, onboarded, refuse
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


def look(access: Onboarding, *grants: dict[str, Any], exists: bool = False) -> dict[str, Any]:
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
    told = {"accessId": ACCESS, "status": status, "lost": lost or [], "version": record.version if record else 0}
    return told | members


def published(account: Account) -> dict[str, dict[str, Any]]:
    """The details by their kinds; each is as its schema says."""
    told = {event["detail-type"]: event["detail"] for event in account.published()}
    for kind, detail in told.items():
        validator(kind.lower().replace(" ", "-")).validate(detail)
    return told


def untold() -> list[Any]:
    """What is written as a change and not yet published."""
    return [one for item in client("dynamodb").scan(TableName=TABLE)["Items"] for one in item.get("untold", {}).get("SS", [])]


def status() -> str:
    record = registry().accesses.get(ACCESS)
    assert record
    return record.status


def test_a_removed_grant_is_told_with_its_exposure(run: Run, account: Account, access: Onboarding) -> None:
    event = report(hint=HINT, look=look(access, found(access, "orphaned")), cleaned=cleaned(removed(access)))

    answer = run("report_clean_up", event | {"observed": observed("gone")})

    told = published(account)["Grants Cleaned Up"]
    assert (told["status"], told["exposureSeconds"], told["hint"]) == ("gone", 609.0, HINT)
    assert [grant["removedBy"] for grant in told["removed"]] == ["latchkey"]
    assert answer == {"published": ["Grants Cleaned Up"], "irrevocable": 0, "restored": False, "exposureSeconds": 609.0}
    assert status() == "gone"


def test_without_a_hint_the_exposure_counts_from_the_first_look(run: Run, account: Account, access: Onboarding) -> None:
    grants = [removed(access), removed(access, at="2026-11-22T10:10:15Z"), removed(access, "service", "2026-11-22T11:00:00Z")]

    run("report_clean_up", report(look=look(access, found(access, "orphaned")), cleaned=cleaned(*grants)))

    assert published(account)["Grants Cleaned Up"]["exposureSeconds"] == 610.0


@pytest.mark.parametrize("seen", [(), ("foreign",)])
def test_a_grant_that_was_gone_before_anybody_looked_was_retired_by_the_service(
    run: Run, account: Account, access: Onboarding, seen: tuple[str, ...]
) -> None:
    first = look(access, *(found(access, verdict) for verdict in seen))

    run("report_clean_up", report(look=first, observed=observed("gone")))

    told = published(account)["Grants Cleaned Up"]
    assert [(grant["removedBy"], grant["evidence"]) for grant in told["removed"]] == [("service", ["it was not described"])]
    assert "exposureSeconds" not in told


@pytest.mark.parametrize("verdict", ["suspect", "orphaned", "in use"])
def test_a_grant_that_is_still_there_was_not_retired(run: Run, account: Account, access: Onboarding, verdict: str) -> None:
    run("report_clean_up", report(look=look(access, found(access, verdict)), observed=observed("gone")))

    assert published(account) == {}


def test_what_is_gone_is_told_once(run: Run, account: Account, access: Onboarding) -> None:
    run("report_clean_up", report(look=look(access), observed=observed("gone")))
    assert [*published(account)] == ["Grants Cleaned Up"]

    run("report_clean_up", report(look=look(access), observed=observed("gone")))
    assert published(account) == {}


def test_an_access_that_changes_is_told_and_recorded(run: Run, account: Account, access: Onboarding) -> None:
    run("report_clean_up", report(observed=observed("revoked", LOST, proposal="enable it")))
    told = published(account)
    assert [*told] == ["Access Revoked"]
    assert (told["Access Revoked"]["lost"], told["Access Revoked"]["proposal"]) == (LOST, "enable it")
    assert (status(), registry().accesses.failed_checks(ACCESS)) == ("revoked", ("key is enabled",))

    run("report_clean_up", report(observed=observed("active")))
    assert [*published(account)] == ["Access Restored"]
    assert status() == "active"


@pytest.mark.parametrize("state", ["active", "gone", "unmanaged"])
def test_an_access_that_is_as_it_was_or_gone_is_not_revoked(run: Run, account: Account, access: Onboarding, state: str) -> None:
    run("report_clean_up", report(observed=observed(state)))

    assert published(account) == {}
    assert status() == state


def test_a_state_that_lasts_is_told_once_and_again_for_other_reasons(run: Run, account: Account, access: Onboarding) -> None:
    told = []
    for name in ("key is enabled", "key is enabled", "grant is there"):
        run("report_clean_up", report(observed=observed("revoked", [LOST[0] | {"name": name}])))
        told.append([*published(account)])

    assert told == [["Access Revoked"], [], ["Access Revoked"]]


def test_reporting_twice_equals_once(run: Run, account: Account, access: Onboarding) -> None:
    event = report(observed=observed("revoked", LOST))
    run("report_clean_up", event)
    before = account.picture()

    run("report_clean_up", event)

    assert account.picture() == before


def test_a_report_that_was_not_published_is_published_by_a_retry(run: Run, account: Account, access: Onboarding) -> None:
    event = report(observed=observed("revoked", LOST))
    at_call("events", "PutEvents", refuse("PutEvents", "InternalException", 500))
    with pytest.raises(TransientAwsError):
        run("report_clean_up", event)
    assert (published(account), status()) == ({}, "revoked")

    run("report_clean_up", event)

    assert ([*published(account)], status()) == (["Access Revoked"], "revoked")
    assert untold() == []


def test_of_two_reports_at_once_one_tells_the_change(run: Run, account: Account, access: Onboarding) -> None:
    event, others = report(observed=observed("revoked", LOST)), f"{EXECUTION}-2"
    at_call("dynamodb", "GetItem", lambda: run("report_clean_up", event | {"executionArn": others}), when="after-call")

    run("report_clean_up", event)

    assert [told["detail"]["executionArn"] for told in account.published()] == [others]


def test_of_two_reports_at_once_one_tells_that_the_service_retired_the_grant(
    run: Run, account: Account, access: Onboarding
) -> None:
    event, others = report(look=look(access), observed=observed("gone")), f"{EXECUTION}-2"
    at_call("dynamodb", "GetItem", lambda: run("report_clean_up", event | {"executionArn": others}), when="after-call")

    run("report_clean_up", event)

    assert [told["detail"]["executionArn"] for told in account.published()] == [others]


def test_a_change_whose_report_died_is_told_by_a_later_one(
    monkeypatch: pytest.MonkeyPatch, run: Run, account: Account, access: Onboarding
) -> None:
    event = report(observed=observed("revoked", LOST))
    at_call("events", "PutEvents", refuse("PutEvents", "InternalException", 500))
    with pytest.raises(TransientAwsError):
        run("report_clean_up", event)
    other = report(executionArn=f"{EXECUTION}-2", observed=observed("active"))
    run("report_clean_up", other)
    assert [*published(account)] == ["Access Restored"]  # the first may be about to be tried again

    monkeypatch.setattr(status_registry, "PUBLISHING_PERIOD", timedelta(seconds=-5))
    run("report_clean_up", other | {"observed": observed("active")})

    told = account.published()
    assert [(event["detail-type"], event["detail"]["executionArn"]) for event in told] == [("Access Revoked", EXECUTION)]
    assert untold() == []


def test_that_the_service_retired_a_grant_is_told_with_the_state(run: Run, account: Account, access: Onboarding) -> None:
    """Nothing was observed, so nothing is recorded: another report tells it."""
    run("report_clean_up", report(look=look(access)))

    assert (published(account), status()) == ({}, "active")


def test_what_was_seen_before_a_request_recorded_the_access_anew_is_not_told(
    run: Run, account: Account, access: Onboarding
) -> None:
    event = report(observed=observed("revoked", LOST))
    record = registry().accesses.get(ACCESS)
    assert record
    registry().accesses.save(record, {})

    run("report_clean_up", event)

    assert (published(account), status()) == ({}, "active")


def test_an_access_that_was_never_recorded_is_told_by_its_id(run: Run, account: Account, access: Onboarding) -> None:
    nobody = "mediatailor/sourceLocation/nobody"
    first = look(access, found(access, "orphaned")) | {"accessId": nobody}

    run("report_clean_up", report(accessId=nobody, look=first, cleaned=cleaned(removed(access))))

    told = published(account)["Grants Cleaned Up"]
    assert (told["accessId"], told["system"], told["status"]) == (nobody, "mediatailor", "gone")


def test_what_could_not_be_revoked_is_told_marked_and_left_open(run: Run, account: Account, access: Onboarding) -> None:
    """One of two grants went before the other was refused."""
    first = look(access, found(access, "orphaned"))
    for grant in ("g-1", "g-2"):
        registry().revocations.note(Revocation(ACCESS, grant, access.key, "it is absent"), "look-1", datetime.now(UTC))
    gone, stays = registry().revocations.open(ACCESS)
    outcome = RemovedGrant.model_validate_json(json.dumps(removed(access)))
    registry().revocations.end(gone, "look-1", outcome, gone=True, by_us=True)
    failure = caught("AccessDenied", "RevokeGrant answered AccessDeniedException (400)")

    answer = run("report_clean_up", report(look=first, observed=observed("gone"), caught=failure))

    told = published(account)["Grants Cleaned Up"]
    assert (told["status"], answer["irrevocable"]) == ("irrevocable", 1)
    assert told["failure"] == {"name": "AccessDenied", "message": "RevokeGrant answered AccessDeniedException (400)"}
    assert [grant["grantId"] for grant in told["removed"]] == ["g-1"]
    assert [noted.grant_id for noted in registry().revocations.open(ACCESS)] == [stays.grant_id] == ["g-2"]
    [item] = [item for item in account.items("grant") if item["id"]["S"].endswith("g-2")]
    assert "irrevocableAt" in item


def test_an_owner_that_was_set_again_is_counted(run: Run, account: Account, access: Onboarding) -> None:
    event = report(look=look(access, exists=True), cleaned=cleaned(removed(access), restored=True))

    assert run("report_clean_up", event)["restored"] is True
    assert published(account)["Grants Cleaned Up"]["restored"] is True
