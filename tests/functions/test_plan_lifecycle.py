"""plan_access for restorations and moves: the calls that the steps make, computed by the steps themselves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import InvalidRequest, NotYetEffective
from latchkey.registry import registry
from tests.functions.account import ACCOUNT, ADOPT, Account
from tests.functions.clean_up_steps import ACCESS, GRANT
from tests.functions.moving import ALIAS, Moved, Sharing
from tests.functions.offboarding_steps import Offboarding
from tests.functions.onboarding_requests import EXECUTION, NAME, Run, check_event, copied
from tests.functions.onboarding_steps import Onboarding
from tests.functions.plans import change, counted, unchanged

RESTORATION = "Restoration Requested"
MACHINE = f"{EXECUTION}-restore"
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/media/Admin"


@pytest.fixture(autouse=True)
def resources(account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    account.add_resources()
    account.open_bus()
    account.role("Admin", "/media/")


def planned(run: Run, event: dict[str, Any]) -> dict[str, Any]:
    """Runs check_request and plan_access, as the state machine does."""
    checked = run("check_request", event)
    assert (checked["toPlan"], checked["restores"]) == (True, False)
    known = {name: value for name, value in event.items() if name not in ("findings", "replacesValue")}
    return run("plan_access", known | {"checked": checked})


# ---------------------------------------------------------------- restorations


def offboarded(run: Run, account: Account, **members: Any) -> Onboarding:
    access = Onboarding(run, account, **members).run_through("record_access")
    Offboarding(run, access, recoveryDays=7).run_through()
    return access


def restoring(access: Onboarding, **how: Any) -> dict[str, Any]:
    asked = {"requestId": "restore-plan" if how.get("mode") else "restore", "accessId": ACCESS} | how
    request = access.request | {"requestId": asked["requestId"]} | how
    known = {"contentHash": asked["requestId"].ljust(64, "-"), "executionArn": MACHINE, "kind": RESTORATION}
    return check_event(request, asked=asked, accessId=ACCESS, **known)


@pytest.mark.parametrize("system", ["mediatailor", "mediapackagev2"])
def test_the_calls_of_a_restoration_are_those_of_its_plan(
    run: Run, account: Account, changing_calls: Counter[str], system: str
) -> None:
    access = Onboarding(run, account, system=system).run_through("record_access")
    offboarding = Offboarding(run, access)
    offboarding.run_through()
    before = unchanged(account)
    event = restoring(access, mode="plan")
    event["asked"]["accessId"] = event["accessId"] = offboarding.access_id
    changing_calls.clear()

    made = planned(run, event)

    assert (changing_calls, unchanged(account)) == ({}, before)
    assert made["permissions"] == []
    assert change(made, "secret")["action"] == "update"
    assert counted(made)["secretsmanager:RestoreSecret"] == 1
    follow = restoring(access)
    follow["asked"]["accessId"] = follow["accessId"] = offboarding.access_id
    step = {"request": follow["request"], "tenant": "default", "executionArn": MACHINE}
    run("check_request", follow)
    run("restore_access", step)
    checked = run("check_request", follow)
    key = run("create_key", step)
    secret = run("create_secret", step | {"key": key, "ownSecretArn": checked["ownSecretArn"]})["arn"]
    run("attach_policies", step | {"key": key, "secretArn": secret})
    run("configure_access", step | {"key": key, "secretArn": secret})
    assert changing_calls == counted(made)


def test_a_copied_value_is_planned_to_be_copied_again(run: Run, account: Account) -> None:
    source = account.secret("origin/token", json.dumps({"MyAccessTokenIdentifier": "0123456789abcdef"}), IMPORT)
    access = offboarded(run, account, secret=copied(source, "MyAccessTokenIdentifier"))

    assert counted(planned(run, restoring(access, mode="plan")))["secretsmanager:PutSecretValue"] == 1


IMPORT = {"latchkey:consent": "import"}


def test_a_restoration_that_follows_its_plan_is_not_planned_again_after_it_began(run: Run, account: Account) -> None:
    access = offboarded(run, account)
    made = planned(run, restoring(access, mode="plan"))
    following = restoring(access, planHash=made["planHash"])

    assert planned(run, following | {"executionArn": MACHINE})["planHash"] == made["planHash"]

    assert run("check_request", following | {"followsPlan": True})["restores"] is True
    run("restore_access", {"request": following["request"], "tenant": "default", "executionArn": MACHINE})
    checked = run("check_request", following)
    assert (checked["toPlan"], checked["restores"]) == (False, False)


def test_the_plan_of_a_restoration_is_rejected_like_the_restoration(run: Run, account: Account) -> None:
    active = Onboarding(run, account).run_through("record_access")
    with pytest.raises(InvalidRequest) as caught:
        run("check_request", restoring(active, mode="plan"))
    assert [problem.path for problem in caught.value.problems] == ["accessId"]
    Offboarding(run, active).run_through()
    account.kms.schedule_key_deletion(KeyId=active.key, PendingWindowInDays=7)
    with pytest.raises(InvalidRequest) as caught:
        run("check_request", restoring(active, mode="plan"))
    assert [problem.path for problem in caught.value.problems] == ["accessId"]


def test_a_restored_access_that_would_break_a_rule_is_rejected_by_its_plan(run: Run, account: Account) -> None:
    access = offboarded(run, account)
    account.mediatailor.add(NAME, tags={})

    with pytest.raises(InvalidRequest) as caught:
        planned(run, restoring(access, mode="plan"))

    assert {problem.path.split(".")[0] for problem in caught.value.problems} == {"resource"}


# ---------------------------------------------------------------- moves


def moving(run: Run, moved: Moved, **how: Any) -> dict[str, Any]:
    request = moved.request().request | how
    request["requestId"] = "move-plan" if how.get("mode") else "move"
    known = {"contentHash": request["requestId"].ljust(64, "-"), "executionArn": f"{EXECUTION}-{request['requestId']}"}
    return check_event(request, accessId=moved.access_id, tenant="default", **known)


def moved_calls(moved: Moved, changing_calls: Counter[str]) -> Counter[str]:
    changing_calls.clear()
    second = moved.move()
    moved.leave(second)
    return changing_calls


@pytest.mark.parametrize("deletes", [True, False])
@pytest.mark.parametrize("system", ["mediatailor", "mediapackage", "mediapackagev2"])
def test_the_calls_of_a_move_are_those_of_its_plan(
    run: Run, account: Account, changing_calls: Counter[str], system: str, deletes: bool
) -> None:
    moved = Moved(run, account, system, **({"administrators": [ADMIN], "allowDeletion": True} if deletes else {}))
    before = unchanged(account)
    changing_calls.clear()

    made = planned(run, moving(run, moved, mode="plan"))

    assert (changing_calls, unchanged(account)) == ({}, before)
    assert made["permissions"] == []
    # moto's MediaTailor creates no grant, so a made move updates the location more often.
    calls = moved_calls(moved, changing_calls)
    assert counted(made).keys() == calls.keys()
    assert {name: count for name, count in counted(made).items() if "mediatailor" not in name} == {
        name: count for name, count in calls.items() if "mediatailor" not in name
    }
    assert counted(made)["secretsmanager:UpdateSecret"] == 1
    assert counted(made).get("kms:ScheduleKeyDeletion", 0) == deletes
    window = {
        "ContextKeyName": "kms:ScheduleKeyDeletionPendingWindowInDays",
        "ContextKeyType": "numeric",
        "ContextKeyValues": ["7"],
    }
    assert any(window in asked["ContextEntries"] for asked in account.simulator.asked) == deletes


def test_the_plan_of_a_move_contains_every_access_of_the_secret(
    run: Run, account: Account, stack: Callable[..., None], changing_calls: Counter[str]
) -> None:
    sharing = Sharing(run, account, stack)

    made = planned(run, moving(run, sharing, mode="plan"))

    assert counted(made)["mediatailor:UpdateSourceLocation"] == 2
    assert registry().phases.get(sharing.access_id) is None
    former = next(one for one in made["changes"] if one["name"] == sharing.key)
    assert {one["Sid"] for one in former["policies"][0]["removed"]} == {
        "LatchkeyMediatailorManagement",
        "LatchkeySecretDecryption",
    }
    assert counted(made)["kms:PutKeyPolicy"] == moved_calls(sharing, changing_calls)["kms:PutKeyPolicy"]
    assert any("news-origin" in name for name in made["reads"])


def test_a_key_that_something_else_uses_is_not_planned_to_be_deleted(run: Run, account: Account) -> None:
    moved = Moved(run, account, administrators=[ADMIN], allowDeletion=True)
    account.secret("of/somebody", "x" * 20, key=moved.first.key)

    assert "kms:ScheduleKeyDeletion" not in counted(planned(run, moving(run, moved, mode="plan")))


def test_the_plan_of_a_move_waits_for_a_request_of_another_access_of_the_secret(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    sharing = Sharing(run, account, stack)

    with account.locked(sharing.news.request, f"{EXECUTION}-other"), pytest.raises(NotYetEffective):
        run("check_request", moving(run, sharing, mode="plan"))


def test_a_move_that_follows_its_plan_locks_every_access_before_it_is_planned(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    sharing = Sharing(run, account, stack)
    made = planned(run, moving(run, sharing, mode="plan"))
    following = moving(run, sharing, planHash=made["planHash"])

    assert planned(run, following)["planHash"] == made["planHash"]

    holders = {registry().locks.holder(one) for one in (sharing.access_id, NEWS)}
    assert holders == {following["executionArn"]}
    assert [registry().phases.get(one) for one in (sharing.access_id, NEWS)] == [None, None]
    assert run("check_request", following | {"followsPlan": True})["moves"] is True
    assert registry().phases.state(NEWS) == "moving"


NEWS = "mediatailor/sourceLocation/news-origin"
_ = (ADOPT, ALIAS, GRANT)
