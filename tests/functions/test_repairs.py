"""Repairs: the recorded request stays as it is, and the result is an event that nobody has to have asked for."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.access.remedy import repair_request
from latchkey.events.findings import Finding, FindingKind, Repair
from latchkey.registry import registry
from latchkey.registry.journal import KEY
from latchkey.requests.lifecycle import REPAIR_DUE
from latchkey.tags import DEFAULT_TENANT
from tests.functions.account import ACCOUNT, Account
from tests.functions.clean_up_steps import ACCESS, onboarded
from tests.functions.onboarding_requests import EXECUTION, Run, rejection
from tests.functions.test_report_outcome import FAILED, ONBOARDED, REJECTED

RECONCILIATION = EXECUTION.replace("onboard-access", "reconcile")
LOST = Finding(
    kind=FindingKind.KEY_STATEMENT_MISSING,
    severity="high",
    name="key policy admits the roles",
    evidence="lacks a statement",
    remediation="repair",
)
REPAIR = Repair(findings=(LOST,), reconciliation=RECONCILIATION).model_dump(mode="json", by_alias=True)


@pytest.fixture(autouse=True)
def bus(account: Account) -> None:
    account.open_bus()


def repair_input(request_id: str = "repair-1", **members: Any) -> dict[str, Any]:
    """The input of check_request in an execution that repairs the access."""
    recorded = registry().accesses.recorded_request(ACCESS)
    assert recorded
    known: dict[str, Any] = {
        "requestId": request_id,
        "contentHash": "c" * 64,
        "kind": REPAIR_DUE,
        "executionArn": f"{EXECUTION}-{request_id}",
    }
    known |= {"system": "mediatailor", "accessId": ACCESS, "request": repair_request(recorded, request_id).wire}
    return known | {"findings": [], "repair": REPAIR} | members


def test_a_success_is_reported_as_repaired_drift(run: Run, account: Account) -> None:
    onboarded(run, account)

    reported = run("report_outcome", ONBOARDED | {"repair": REPAIR})

    [event] = account.published()
    detail = event["detail"]
    assert (reported["detailType"], event["detail-type"], detail["status"]) == ("Drift Repaired", "Drift Repaired", "active")
    assert [one["kind"] for one in detail["findings"]] == ["key-statement-missing"]
    assert (detail["checks"], detail["changed"]) == (ONBOARDED["checks"], True)
    assert (detail["reconciliation"], "requestId" in detail) == (RECONCILIATION, False)


@pytest.mark.parametrize(
    ("report", "member", "value"),
    [(REJECTED, "errors", "resource.header"), (FAILED, "failure", "AccessDenied")],
)
def test_a_repair_that_fails_is_reported_and_keeps_its_journal(
    run: Run, account: Account, report: dict[str, Any], member: str, value: str
) -> None:
    journal = registry().journal.of(EXECUTION, ACCESS, DEFAULT_TENANT)
    journal.intend(KEY, {"alias": "alias/one"})

    run("report_outcome", report | {"accessId": ACCESS, "repair": REPAIR})

    [event] = account.published()
    assert event["detail-type"] == "Drift Not Repaired"
    assert value in json.dumps(event["detail"][member])
    assert event["detail"]["status"] == "gone"  # nothing is recorded
    assert [entry.state for entry in journal.entries()] == ["open"]


def test_a_repeated_report_publishes_the_same_event(run: Run, account: Account) -> None:
    run("report_outcome", ONBOARDED | {"repair": REPAIR})
    run("report_outcome", FAILED | {"accessId": ACCESS, "repair": REPAIR})

    first, second = account.published()
    assert first["detail"] == second["detail"]


def test_a_repair_leaves_the_recorded_request_as_it_is(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    before = registry().accesses.recorded_request(ACCESS)
    request = repair_input()["request"]

    event = {"request": request, "resources": {"keyArn": access.key, "secretArn": access.secret}, "status": "active"}
    run("record_access", event | {"repair": REPAIR})

    record = registry().accesses.get(ACCESS)
    assert record
    assert record.request_id == "repair-1"
    assert registry().accesses.recorded_request(ACCESS) == before


def test_a_repair_gives_no_principal_more_than_the_present_parameters_allow(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    reader = f"arn:aws:iam::{ACCOUNT}:role/Origin"
    account.iam.create_role(RoleName="Origin", AssumeRolePolicyDocument="{}")
    stack(TRUSTED_PRINCIPAL_PATTERNS=reader)
    onboarded(run, account, secret={"originReaders": [reader]})
    assert run("check_request", repair_input())["accessId"] == ACCESS
    registry().locks.unlock(ACCESS, f"{EXECUTION}-repair-1")

    stack(TRUSTED_PRINCIPAL_PATTERNS="")

    assert set(rejection(run, "check_request", repair_input("repair-2"))) == {"secret.originReaders.0"}


def test_a_repair_of_an_access_that_another_request_changed_is_rejected(run: Run, account: Account) -> None:
    onboarded(run, account)
    changed = repair_input()
    changed["request"] |= {"tags": {"team": "news"}}

    assert set(rejection(run, "check_request", changed)) == {"resource"}
