"""plan_access for rotations, their confirmations and withdrawals: the calls that the steps make."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from latchkey.errors import InvalidRequest, NotYetEffective
from latchkey.registry import registry
from tests.functions.account import Account
from tests.functions.onboarding_requests import EXECUTION, Run
from tests.functions.plans import counted, unchanged
from tests.functions.rotation_steps import Rotation

CONFIRMED = "Rotation Confirmed"
INTERRUPTED = ("mediaconnect",)


def plan(rotation: Rotation) -> dict[str, Any]:
    """Runs check_rotation and plan_access, as the state machine does."""
    checked = rotation.check()
    assert checked["toPlan"] is True
    made: dict[str, Any] = rotation.run("plan_access", rotation.event | {"rotation": checked})
    return made


def report(run: Run, account: Account, rotation: Rotation, made: dict[str, Any]) -> None:
    account.open_bus()
    names = ("requestId", "contentHash", "eventId", "system", "accessId", "executionArn")
    known = {name: rotation.event[name] for name in names} | {"tenant": "default"}
    run("report_outcome", known | {"detailType": "Access Planned", "result": made})


def carry_out(rotation: Rotation) -> None:
    """The steps of the state machine after the check."""
    checked = rotation.check()
    if checked["withdraws"]:
        rotation.withdraw()
        return
    if not checked["promotes"]:
        rotation.stage()
    if checked["waits"]:
        rotation.record("pending")
        return
    rotation.promote()
    if checked["revokes"]:
        rotation.stage(again=True)
        rotation.promote(again=True)
    if checked["isApplied"]:
        rotation.apply()
    rotation.record("rotated")


def asked(system: str, **members: Any) -> dict[str, Any]:
    return members | ({"acceptsInterruption": True} if system in INTERRUPTED else {})


@pytest.mark.parametrize("emergency", [False, True])
@pytest.mark.parametrize("system", ["mediatailor", "mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect"])
def test_the_calls_of_a_rotation_are_those_of_its_plan(
    run: Run, account: Account, changing_calls: Counter[str], system: str, emergency: bool
) -> None:
    rotation = Rotation(run, account, system)
    members = asked(system, **({"emergency": True} if emergency else {}))
    before, former = unchanged(account), rotation.value() if system == "mediatailor" else None
    changing_calls.clear()

    made = plan(rotation.begin(number=1, mode="plan", **members))

    assert (changing_calls, unchanged(account)) == ({}, before)
    assert (made["permissions"], made["monthlyCost"]) == ([], 0)
    assert former is None or former["MyAccessTokenIdentifier"] not in json.dumps(made)
    carry_out(rotation.begin(number=2, **members))
    assert counted(made) == changing_calls


@pytest.mark.parametrize("emergency", [False, True])
@pytest.mark.parametrize("withdraws", [False, True])
def test_the_calls_of_a_confirmation_or_withdrawal_are_those_of_its_plan(
    run: Run, account: Account, changing_calls: Counter[str], withdraws: bool, emergency: bool
) -> None:
    rotation = Rotation(run, account)
    carry_out(rotation.begin("Rotation Requested", 1, emergency=emergency))
    rotation.end()
    kind, members = ("Rotation Requested", {"withdraw": True}) if withdraws else (CONFIRMED, {})
    before = unchanged(account)
    changing_calls.clear()

    made = plan(rotation.begin(kind, 2, mode="plan", **members))

    assert (changing_calls, unchanged(account)) == ({}, before)
    carry_out(rotation.begin(kind, 3, **members))
    assert counted(made) == changing_calls != {}
    label = "AWSPENDING" if withdraws else "AWSCURRENT"
    stage = {"ContextKeyName": "secretsmanager:VersionStage", "ContextKeyType": "string", "ContextKeyValues": [label]}
    assert any(stage in one["ContextEntries"] for one in account.simulator.asked)


def test_a_rotation_that_follows_its_plan_is_planned_again_before_it_begins(run: Run, account: Account) -> None:
    rotation = Rotation(run, account)
    made = plan(rotation.begin(number=1, mode="plan"))
    report(run, account, rotation, made)
    rotation.begin(number=2, planHash=made["planHash"])

    assert plan(rotation)["planHash"] == made["planHash"]

    assert registry().phases.get(rotation.access_id) is None
    rotation.event |= {"followsPlan": True}
    checked = rotation.check()
    assert (checked["toPlan"], checked["planOnly"]) == (False, False)
    assert registry().phases.state(rotation.access_id) == "rotating"
    rotation.event |= {"followsPlan": False}
    assert rotation.check()["toPlan"] is False


def test_a_rotation_whose_plan_is_out_of_date_is_rejected(run: Run, account: Account) -> None:
    rotation = Rotation(run, account)
    made = plan(rotation.begin(number=1, mode="plan"))
    report(run, account, rotation, made)
    account.secretsmanager.tag_resource(SecretId=rotation.secret, Tags=[{"Key": "one", "Value": "two"}])

    with pytest.raises(InvalidRequest) as caught:
        plan(rotation.begin(number=2, planHash=made["planHash"]))

    [problem] = caught.value.problems
    assert problem.path == "planHash"
    assert "the secret has changed" in problem.rule


def test_the_plan_of_a_rotation_is_rejected_like_the_rotation(run: Run, account: Account) -> None:
    rotation = Rotation(run, account, "mediaconnect")

    for how in ({"mode": "plan"}, {}):
        with pytest.raises(InvalidRequest) as caught:
            rotation.begin(number=len(how) + 1, **how).check()
        assert [problem.path for problem in caught.value.problems] == ["acceptsInterruption"]
    with pytest.raises(InvalidRequest):
        rotation.begin(CONFIRMED, 5, mode="plan").check()


def test_the_plan_of_a_rotation_waits_for_a_running_request(run: Run, account: Account) -> None:
    rotation = Rotation(run, account)

    with account.locked(rotation.recorded, f"{EXECUTION}-other"), pytest.raises(NotYetEffective):
        rotation.begin(number=1, mode="plan").check()
