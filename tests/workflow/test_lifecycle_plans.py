"""A plan of a request about a recorded access changes nothing, and the request that follows it makes the planned calls."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from tests.sampling import each_value
from tests.workflow.consumer_resources import CONSUMERS
from tests.workflow.onboarding import MEMBER, ORIGIN, Onboarding
from tests.workflow.planning import Detail, Planning, counted, of_kind

pytestmark = pytest.mark.timeout(600)

OFFBOARDING, RESTORATION = "Offboarding Requested", "Restoration Requested"
ROTATION, CONFIRMATION = "Rotation Requested", "Rotation Confirmed"
ADMIN = {"administrators": [ORIGIN], "allowDeletion": True}


@pytest.fixture
def planning(onboarding: Onboarding) -> Planning:
    """Without trail events, because a cleanup that they start can revoke a grant first."""
    onboarding.aws.control("PUT", "assumptions", {"trail": {"lose": 1}})
    return Planning(onboarding)


def carried_out(planning: Planning, asked: Detail, kind: str, ends_in: str) -> Detail:
    """The plan of a request and the outcome of the request that follows it, which makes exactly the planned calls."""
    plan = planning.plan(asked, kind)
    outcome = planning.follow(asked, plan["planHash"], kind)
    assert outcome["detail-type"] == ends_in, json.dumps(outcome["detail"], indent=2)
    assert planning.changing_calls() == counted(plan), json.dumps(outcome["detail"], indent=2)
    assert plan["permissions"] == []
    return plan


def value() -> str:
    return json.dumps({MEMBER: secrets.token_hex(10)})


def created(onboarding: Onboarding) -> Detail:
    return onboarding.detail()


def with_key_to_delete(onboarding: Onboarding) -> Detail:
    detail = onboarding.detail()
    return detail | {"key": detail["key"] | ADMIN}


def of_another_location(onboarding: Onboarding) -> Detail:
    """The location existed before, and its owner consented."""
    detail = onboarding.detail()
    onboarding.mediatailor.create_source_location(
        SourceLocationName=detail["resource"]["sourceLocation"],
        HttpConfiguration={"BaseUrl": "https://former.example.com"},
        Tags={"latchkey:consent": "adopt"},
    )
    return detail


def adopted(onboarding: Onboarding) -> Detail:
    key = onboarding.new_key()
    existing = {"existing": {"secretArn": onboarding.new_secret(value(), KmsKeyId=key)}}
    return onboarding.detail(key={"arn": key}, secret={"value": existing})


def shared(onboarding: Onboarding) -> Detail:
    """Another access uses the same secret and key."""
    detail = adopted(onboarding)
    onboarding.onboard(detail)
    return onboarding.detail(key=detail["key"], secret=detail["secret"])


ACCESSES: tuple[Callable[[Onboarding], Detail], ...] = (created, with_key_to_delete, of_another_location, adopted, shared)


def onboarded(onboarding: Onboarding, detail: Detail) -> str:
    """The ID of a new access. Its grant is old enough to be revoked."""
    outcome = onboarding.onboard(detail)
    onboarding.await_old_grants(outcome["resources"]["keyArn"])
    return str(outcome["accessId"])


@pytest.mark.parametrize("case", ACCESSES, ids=[case.__name__ for case in ACCESSES])
def test_an_offboarding_makes_the_planned_calls_and_no_other(planning: Planning, case: Callable[[Onboarding], Detail]) -> None:
    access_id = onboarded(planning.onboarding, case(planning.onboarding))

    plan = carried_out(planning, {"accessId": access_id}, OFFBOARDING, "Access Offboarded")

    assert counted(plan)["kms:RevokeGrant"] == 1
    assert plan["monthlyCost"] == 0
    again = planning.plan({"accessId": access_id}, OFFBOARDING)
    assert again["calls"] == []


# The only one of these systems that is detached.
DETACHED = [("mediapackagev2", "restore")]


@pytest.mark.parametrize(
    ("system", "choice"), dict.fromkeys([*DETACHED, *each_value(CONSUMERS, ["restore", "detach", "leave"])])
)
def test_the_offboarding_of_every_system_makes_the_planned_calls(planning: Planning, system: str, choice: str) -> None:
    access_id = planning.onboarding.onboard(CONSUMERS[system](planning.aws).detail)["accessId"]

    plan = carried_out(planning, {"accessId": access_id, "resource": choice}, OFFBOARDING, "Access Offboarded")

    is_detached = system == "mediapackagev2" and choice != "leave"
    assert (of_kind(plan, "secret")["action"] == "remove") == is_detached
    assert (counted(plan) == {}) != is_detached


@pytest.mark.parametrize("choice", ["detach", "delete", "leave"])
def test_each_choice_for_a_location_makes_the_planned_calls(planning: Planning, choice: str) -> None:
    planning.aws.control("PUT", "assumptions", {"mediatailorRetires": "never", "trail": {"lose": 1}})
    access_id = onboarded(planning.onboarding, planning.onboarding.detail())

    plan = carried_out(planning, {"accessId": access_id, "resource": choice}, OFFBOARDING, "Access Offboarded")

    action = {"detach": "update", "delete": "remove", "leave": "none"}[choice]
    assert of_kind(plan, "sourceLocation")["action"] == action


def test_a_grant_that_the_service_retires_is_not_revoked(planning: Planning) -> None:
    planning.aws.control("PUT", "assumptions", {"updateRetires": True, "trail": {"lose": 1}})
    access_id = onboarded(planning.onboarding, planning.onboarding.detail())
    plan = planning.plan({"accessId": access_id}, OFFBOARDING)

    planning.follow({"accessId": access_id}, plan["planHash"], OFFBOARDING)

    assert planning.changing_calls() | {"kms:RevokeGrant": 1} == counted(plan)


def test_the_plan_of_an_offboarding_describes_every_resource(planning: Planning) -> None:
    detail = with_key_to_delete(planning.onboarding)
    made = planning.onboarding.onboard(detail)
    arns = made["resources"]

    plan = planning.plan({"accessId": made["accessId"], "recoveryDays": 8}, OFFBOARDING)

    assert {(one["kind"], one["action"]) for one in plan["changes"]} == {
        ("grant", "remove"),
        ("key", "update"),
        ("secret", "remove"),
        ("sourceLocation", "update"),
    }
    [policy] = of_kind(plan, "key")["policies"]
    assert {one["Sid"] for one in policy["removed"]} >= {"LatchkeyMediatailorManagement", "LatchkeySecretDecryption"}
    assert {one["name"]: one.get("after") for one in of_kind(plan, "key")["settings"]} == {
        "deletedAfter": arns["secretArn"],
        "waitingDays": 8,
    }
    assert ("recoveryDays", 8) in [(one["name"], one.get("after")) for one in of_kind(plan, "secret")["settings"]]
    assert of_kind(plan, "grant")["name"] == arns["grantId"]
    settings = {one["name"]: (one.get("before"), one.get("after")) for one in of_kind(plan, "sourceLocation")["settings"]}
    assert settings["secretArn"] == (arns["secretArn"], "")
    token = planning.onboarding.token(arns["secretArn"])
    assert token not in json.dumps(plan)


def configure_again(onboarding: Onboarding, made: Detail) -> None:
    name = made["accessId"].rsplit("/", 1)[1]
    found = onboarding.location(name)
    onboarding.mediatailor.update_source_location(
        SourceLocationName=name,
        HttpConfiguration={"BaseUrl": f"{found['HttpConfiguration']['BaseUrl']}/other"},
        AccessConfiguration=found["AccessConfiguration"],
    )


def tag(onboarding: Onboarding, made: Detail) -> None:
    onboarding.secretsmanager.tag_resource(SecretId=made["resources"]["secretArn"], Tags=[{"Key": "team", "Value": "other"}])


def add_statement(onboarding: Onboarding, made: Detail) -> None:
    theirs = {"Sid": "Later", "Effect": "Allow", "Principal": {"AWS": ORIGIN}, "Action": "kms:DescribeKey", "Resource": "*"}
    policy = onboarding.key_policy(made["resources"]["keyArn"])
    policy["Statement"].append(theirs)
    onboarding.kms.put_key_policy(KeyId=made["resources"]["keyArn"], PolicyName="default", Policy=json.dumps(policy))


CHANGES: dict[str, tuple[Callable[[Onboarding, Detail], None], str]] = {
    "the settings of the location": (configure_again, "the resource"),
    "a tag of the secret": (tag, "the secret"),
    "a statement in the key policy": (add_statement, "the policy of the key"),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_an_offboarding_whose_plan_is_out_of_date_is_rejected_with_what_differs(planning: Planning, changed: str) -> None:
    change, named = CHANGES[changed]
    made = planning.onboarding.onboard(planning.onboarding.detail())
    plan = planning.plan({"accessId": made["accessId"]}, OFFBOARDING)

    change(planning.onboarding, made)
    rule = planning.rejected({"accessId": made["accessId"]}, plan["planHash"], OFFBOARDING)

    assert rule.startswith("plan is out of date")
    assert named in rule


def test_the_hash_of_another_request_or_kind_is_rejected_as_such(planning: Planning) -> None:
    made, other = (planning.onboarding.onboard(planning.onboarding.detail()) for _ in range(2))
    plan = planning.plan({"accessId": made["accessId"]}, OFFBOARDING)

    for asked in (
        {"accessId": other["accessId"]},
        {"accessId": made["accessId"], "resource": "detach"},
        {"accessId": made["accessId"], "recoveryDays": 7},
    ):
        rule = planning.rejected(asked, plan["planHash"], OFFBOARDING)
        assert plan["requestId"] in rule
        assert "out of date" not in rule
    confirmation = {"accessId": made["accessId"]}
    assert plan["requestId"] in planning.rejected(confirmation, plan["planHash"], "Handoff Confirmed")


def test_an_offboarding_that_cannot_be_carried_out_cannot_be_planned(planning: Planning) -> None:
    made = planning.onboarding.onboard(of_another_location(planning.onboarding))
    before = planning.onboarding.account_snapshot()

    for mode in ({"mode": "plan"}, {}):
        event = planning.onboarding.ask(OFFBOARDING, made["accessId"], resource="delete", **mode)
        assert event["detail-type"] == "Request Rejected"
        assert {error["place"] for error in event["detail"]["errors"]} == {"resource"}
    assert planning.onboarding.account_snapshot() == before


@pytest.mark.parametrize("case", [created, of_another_location, adopted], ids=["created", "of_another_location", "adopted"])
def test_a_restoration_makes_the_planned_calls_and_no_other(planning: Planning, case: Callable[[Onboarding], Detail]) -> None:
    asked = {"accessId": planning.onboarding.onboard(case(planning.onboarding))["accessId"]}
    planning.onboarding.offboard(asked["accessId"])

    plan = carried_out(planning, asked, RESTORATION, "Access Onboarded")

    assert counted(plan)["mediatailor:UpdateSourceLocation"] == 1
    assert counted(plan).get("secretsmanager:RestoreSecret", 0) == (0 if case is adopted else 1)
    assert plan["monthlyCost"] == 0


@pytest.mark.parametrize("system", CONSUMERS)
def test_the_restoration_of_every_system_makes_the_planned_calls(planning: Planning, system: str) -> None:
    asked = {"accessId": planning.onboarding.onboard(CONSUMERS[system](planning.aws).detail)["accessId"]}
    planning.onboarding.offboard(asked["accessId"])

    carried_out(planning, asked, RESTORATION, "Access Onboarded")


def test_a_restoration_whose_plan_is_out_of_date_is_rejected(planning: Planning) -> None:
    made = planning.onboarding.onboard(planning.onboarding.detail())
    asked = {"accessId": made["accessId"]}
    planning.onboarding.offboard(made["accessId"])
    plan = planning.plan(asked, RESTORATION)

    add_statement(planning.onboarding, made)
    rule = planning.rejected(asked, plan["planHash"], RESTORATION)

    assert rule.startswith("plan is out of date")
    assert "the policy of the key" in rule


def test_an_active_access_has_no_plan_of_a_restoration(planning: Planning) -> None:
    made = planning.onboarding.onboard(planning.onboarding.detail())
    before = planning.onboarding.account_snapshot()

    event = planning.onboarding.ask(RESTORATION, made["accessId"], mode="plan")

    assert event["detail-type"] == "Request Rejected"
    assert {error["place"] for error in event["detail"]["errors"]} == {"accessId"}
    assert planning.onboarding.account_snapshot() == before


def moved(detail: Detail, **key: Any) -> Detail:
    return detail | {"key": {"alias": f"alias/latchkey/moved-{secrets.token_hex(4)}", "move": True, **key}}


@pytest.mark.parametrize("case", ACCESSES, ids=[case.__name__ for case in ACCESSES])
def test_a_move_makes_the_planned_calls_and_no_other(planning: Planning, case: Callable[[Onboarding], Detail]) -> None:
    detail = case(planning.onboarding)
    former = planning.onboarding.onboard(detail)["resources"]["keyArn"]

    plan = carried_out(planning, moved(detail), "Onboarding Requested", "Access Onboarded")

    assert counted(plan)["secretsmanager:UpdateSecret"] == 1
    assert counted(plan)["mediatailor:UpdateSourceLocation"] == (2 if case is shared else 1)
    [left] = [change for change in plan["changes"] if change["name"] == former]
    assert left["action"] == ("remove" if case is with_key_to_delete else "update")
    assert not {one["Sid"] for one in planning.onboarding.key_policy(former)["Statement"]} & {
        "LatchkeyMediatailorManagement",
        "LatchkeySecretDecryption",
    }
    assert plan["monthlyCost"] == 1


@pytest.mark.parametrize("system", CONSUMERS)
def test_the_move_of_every_system_makes_the_planned_calls(planning: Planning, system: str) -> None:
    detail = CONSUMERS[system](planning.aws).detail
    planning.onboarding.onboard(detail)

    carried_out(planning, moved(detail), "Onboarding Requested", "Access Onboarded")


def test_a_move_is_out_of_date_if_another_access_of_the_secret_has_changed(planning: Planning) -> None:
    detail = shared(planning.onboarding)
    made = planning.onboarding.onboard(detail)
    asked = moved(detail)
    plan = planning.plan(asked)
    others = [one for one in planning.onboarding.location_names() if one not in made["accessId"]]

    for name in others:
        configure_again(planning.onboarding, {"accessId": f"mediatailor/sourceLocation/{name}"})
    rule = planning.rejected(asked, plan["planHash"])

    assert rule.startswith("plan is out of date")
    assert any(name in rule for name in others)


def test_a_rotation_and_its_confirmation_make_the_planned_calls_and_no_other(planning: Planning) -> None:
    made = planning.onboarding.onboard(planning.onboarding.detail())
    asked = {"accessId": made["accessId"]}
    former = planning.onboarding.token(made["resources"]["secretArn"])

    rotation = carried_out(planning, asked, ROTATION, "Token Pending")
    confirmation = carried_out(planning, asked, CONFIRMATION, "Token Rotated")

    assert counted(rotation) == {"secretsmanager:PutSecretValue": 1}
    assert counted(confirmation) == {"secretsmanager:UpdateSecretVersionStage": 1}
    token = planning.onboarding.token(made["resources"]["secretArn"])
    assert token != former
    assert not any(one in json.dumps([rotation, confirmation]) for one in (token, former))


def test_the_withdrawal_of_a_rotation_makes_the_planned_calls_and_no_other(planning: Planning) -> None:
    asked = {"accessId": planning.onboarding.onboard(planning.onboarding.detail())["accessId"]}
    assert planning.onboarding.ask(ROTATION, asked["accessId"])["detail-type"] == "Token Pending"

    plan = carried_out(planning, asked | {"withdraw": True}, ROTATION, "Rotation Withdrawn")

    assert counted(plan) == {"secretsmanager:UpdateSecretVersionStage": 1}


@pytest.mark.parametrize("system", CONSUMERS)
def test_the_emergency_rotation_of_every_system_makes_the_planned_calls(fast_onboarding: Onboarding, system: str) -> None:
    planning = Planning(fast_onboarding)
    asked = {"accessId": fast_onboarding.onboard(CONSUMERS[system](planning.aws).detail)["accessId"], "emergency": True}

    plan = carried_out(planning, asked | {"acceptsInterruption": True}, ROTATION, "Token Rotated")

    assert counted(plan)["secretsmanager:PutSecretValue"] == counted(plan)["secretsmanager:UpdateSecretVersionStage"] == 2


def test_a_rotation_whose_plan_is_out_of_date_is_rejected(planning: Planning) -> None:
    made = planning.onboarding.onboard(planning.onboarding.detail())
    asked = {"accessId": made["accessId"]}
    plan = planning.plan(asked, ROTATION)

    tag(planning.onboarding, made)
    rule = planning.rejected(asked, plan["planHash"], ROTATION)

    assert rule.startswith("plan is out of date")
    assert "the secret" in rule
    assert plan["requestId"] in planning.rejected(asked | {"emergency": True}, plan["planHash"], ROTATION)
