"""plan_access for offboardings: what the steps would do, computed by the steps themselves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import InvalidRequest, NotYetEffective
from latchkey.registry import registry
from tests.functions.account import ACCOUNT, Account
from tests.functions.clean_up_steps import ACCESS, GRANT
from tests.functions.offboarding_steps import Offboarding
from tests.functions.onboarding_requests import EXECUTION, NAME, RESOURCES, Run, existing
from tests.functions.onboarding_steps import Onboarding
from tests.functions.plans import change, counted, unchanged

SYSTEMS = [system for system in RESOURCES if system != "adobe-experience-platform"]
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/media/Admin"
MISSING_HASH = 64 * "0"


@pytest.fixture(autouse=True)
def resources(account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    account.add_resources()
    account.open_bus()
    account.role("Admin", "/media/")


def onboarded(run: Run, account: Account, **members: Any) -> Onboarding:
    return Onboarding(run, account, **members).run_through("record_access")


def planned(access: Onboarding, **members: Any) -> Offboarding:
    """The offboarding that is only planned."""
    return Offboarding(access.run, access, request_id="plan-1", mode="plan", **members)


def plan(offboarding: Offboarding, **changes: Any) -> dict[str, Any]:
    """Runs check_offboarding and plan_access, as the state machine does."""
    checked = offboarding.check(**changes)
    assert checked["toPlan"] is True
    made: dict[str, Any] = offboarding.run("plan_access", offboarding.input() | changes)
    return made


def report(run: Run, offboarding: Offboarding, made: dict[str, Any]) -> None:
    about = {"accessId": offboarding.access_id, "system": offboarding.request["system"], "executionArn": offboarding.execution}
    known = {"requestId": offboarding.asked["requestId"], "detailType": "Access Planned", "result": made}
    run("report_outcome", known | about | offboarding.common)


@pytest.mark.parametrize("choice", ["restore", "detach", "leave"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_calls_of_an_offboarding_are_those_of_its_plan(
    run: Run, account: Account, changing_calls: Counter[str], system: str, choice: str
) -> None:
    access = onboarded(run, account, system=system)
    before = unchanged(account)
    changing_calls.clear()

    made = plan(planned(access, resource=choice))

    assert changing_calls == {}
    assert unchanged(account) == before
    assert made["permissions"] == []
    Offboarding(run, access, resource=choice).run_through()
    # moto's MediaTailor removes what an update omits, so the second update is not needed.
    most, least = counted(made), changing_calls["mediatailor:UpdateSourceLocation"]
    assert most | ({"mediatailor:UpdateSourceLocation": least} if least else {}) == changing_calls


@pytest.mark.parametrize("keeps", [True, False])
def test_the_plan_assumes_that_mediatailor_keeps_what_an_update_omits(
    run: Run, account: Account, changing_calls: Counter[str], keeps: bool
) -> None:
    account.mediatailor.keeps_omitted = keeps
    access = onboarded(run, account)
    made = plan(planned(access))
    changing_calls.clear()

    Offboarding(run, access).run_through()

    assert counted(made)["mediatailor:UpdateSourceLocation"] == 2
    assert changing_calls["mediatailor:UpdateSourceLocation"] == (2 if keeps else 1)


def test_a_grant_that_the_detached_location_leaves_is_revoked(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    grant = account.grant(access.key, GRANT, access.secret)

    made = plan(planned(access))

    assert counted(made)["kms:RevokeGrant"] == 1
    assert (change(made, "grant")["action"], change(made, "grant")["name"]) == ("remove", grant)
    assert made["permissions"] == []


def test_a_created_location_is_deleted_if_the_request_says_so(run: Run, account: Account, changing_calls: Counter[str]) -> None:
    access = onboarded(run, account)
    made = plan(planned(access, resource="delete"))
    changing_calls.clear()

    Offboarding(run, access, resource="delete").run_through()

    assert change(made, "sourceLocation")["action"] == "remove"
    assert counted(made) == changing_calls


def test_a_key_that_the_sweep_deletes_later_is_described(run: Run, account: Account) -> None:
    access = onboarded(run, account, key={"administrators": [ADMIN], "allowDeletion": True})

    made = plan(planned(access, recoveryDays=9))

    key, secret = change(made, "key"), change(made, "secret")
    assert {one["name"]: one["after"] for one in key["settings"]} == {"deletedAfter": access.secret, "waitingDays": 9}
    assert ("recoveryDays", 9) in [(one["name"], one["after"]) for one in secret["settings"]]
    assert counted(made).get("kms:ScheduleKeyDeletion") is None
    assert registry().offboardings.get(ACCESS) is None


def test_an_adopted_secret_loses_only_our_statements(run: Run, account: Account, changing_calls: Counter[str]) -> None:
    secret = account.secret("origin/token", json.dumps({"MyAccessTokenIdentifier": "0123456789abcdef"}), _ADOPT)
    access = onboarded(run, account, secret=existing(secret), key={"arn": account.key(_ADOPT)})
    made = plan(planned(access))
    changing_calls.clear()

    Offboarding(run, access).run_through()

    assert change(made, "secret")["action"] == change(made, "key")["action"] == "update"
    assert {name: count for name, count in counted(made).items() if not name.startswith("mediatailor:")} == {
        name: count for name, count in changing_calls.items() if not name.startswith("mediatailor:")
    }


_ADOPT = {"latchkey:consent": "adopt"}


def test_a_reader_role_is_removed_with_its_policy(run: Run, account: Account) -> None:
    access = onboarded(run, account, system="mediapackagev2")

    made = plan(planned(access))

    assert change(made, "role")["action"] == "remove"
    assert counted(made) == {
        "iam:DeleteRole": 1,
        "iam:DeleteRolePolicy": 1,
        "mediapackagev2:DeleteOriginEndpointPolicy": 1,
        "secretsmanager:DeleteSecret": 1,
    }
    [policy] = change(made, "originEndpoint")["policies"]
    assert [statement["Sid"] for statement in policy["removed"]] == ["LatchkeyCdnAuthorization"]


@pytest.mark.parametrize(
    "action", ["secretsmanager:DeleteSecret", "mediapackagev2:DeleteOriginEndpointPolicy", "iam:DeleteRole"]
)
def test_a_permission_that_a_function_lacks_is_named_with_its_role(run: Run, account: Account, action: str) -> None:
    access = onboarded(run, account, system="mediapackagev2")
    account.simulator.refused = {action}

    made = plan(planned(access))

    assert {one["action"] for one in made["permissions"]} == {action}


def test_the_recovery_window_is_part_of_the_simulation(run: Run, account: Account) -> None:
    access = onboarded(run, account)

    plan(planned(access, recoveryDays=12))

    [asked] = [asked for asked in account.simulator.asked if asked["ActionNames"] == ["secretsmanager:DeleteSecret"]]
    entry = {"ContextKeyName": "secretsmanager:RecoveryWindowInDays", "ContextKeyType": "numeric", "ContextKeyValues": ["12"]}
    assert entry in asked["ContextEntries"]


def test_a_plan_takes_no_lock_and_begins_no_phase_and_waits_for_a_running_request(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    offboarding = planned(access)

    plan(offboarding)

    assert (registry().locks.holder(ACCESS), registry().phases.get(ACCESS)) == (None, None)
    with account.locked(access.request, f"{EXECUTION}-other"), pytest.raises(NotYetEffective):
        offboarding.check()


def test_an_offboarding_that_follows_its_plan_is_planned_again_before_it_begins(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    only_planned = planned(access)
    made = plan(only_planned)
    report(run, only_planned, made)
    following = Offboarding(run, access, planHash=made["planHash"])

    assert plan(following)["planHash"] == made["planHash"]

    assert registry().phases.get(ACCESS) is None
    checked = following.check(followsPlan=True)
    assert (checked["toPlan"], checked["planOnly"]) == (False, False)
    assert registry().phases.state(ACCESS) == "offboarding"
    # An execution that continues this one does not compare the plan with what the first one has changed.
    assert following.check()["toPlan"] is False


def rule_of(offboarding: Offboarding) -> str:
    with pytest.raises(InvalidRequest) as caught:
        plan(offboarding)
    [problem] = caught.value.problems
    assert problem.path == "planHash"
    return problem.rule


def test_an_outdated_plan_is_rejected_with_what_differs(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    only_planned = planned(access)
    made = plan(only_planned)
    report(run, only_planned, made)
    account.mediatailor.locations[NAME]["HttpConfiguration"] = {"BaseUrl": "https://other.example.com"}

    rule = rule_of(Offboarding(run, access, planHash=made["planHash"]))

    assert rule.startswith("plan is out of date")
    assert "the resource has changed" in rule


def test_the_hash_of_another_offboarding_is_named_and_one_of_no_plan_is_rejected(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    only_planned = planned(access)
    made = plan(only_planned)
    report(run, only_planned, made)

    assert "plan-1" in rule_of(Offboarding(run, access, planHash=made["planHash"], recoveryDays=7))
    assert "out of date" not in rule_of(Offboarding(run, access, planHash=MISSING_HASH))
