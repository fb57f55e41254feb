"""The steps of a rotation: each can run twice, none sees a value but create_secret, and a rollback restores the labels."""

import json
from collections.abc import Callable

import pytest
from moto.secretsmanager.models import secretsmanager_backends

from latchkey.errors import Conflict, InvalidRequest, TransientAwsError
from latchkey.registry import registry
from tests.functions.account import ACCOUNT, REGION, Account
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import SECRET_KEY, Run, existing, rejection
from tests.functions.onboarding_steps import Onboarding
from tests.functions.rotation_steps import Rotation


@pytest.fixture
def rotation(run: Run, account: Account) -> Rotation:
    return Rotation(run, account)


def test_a_new_version_is_pending_only_and_retries_make_one(rotation: Rotation) -> None:
    before = rotation.value()
    rotation.check()

    for _ in range(2):
        rotation.stage()

    assert rotation.value() == before
    assert rotation.labels["AWSPENDING"] == rotation.plan["version"] != rotation.plan["former"] == rotation.labels["AWSCURRENT"]
    assert rotation.value("AWSPENDING").keys() == before.keys()
    assert rotation.value("AWSPENDING") != before


def test_a_lost_response_to_the_call_that_stores_a_value_makes_no_second_version(rotation: Rotation) -> None:
    rotation.check()
    at_call("secretsmanager", "PutSecretValue", answer_with_error("PutSecretValue", "ResourceExistsException"))

    assert rotation.stage()["changed"] is True


@pytest.mark.parametrize("length", [8, 128])
def test_a_token_has_the_requested_length(rotation: Rotation, length: int) -> None:
    rotation.begin(value={"generate": {"length": length}}).check()
    rotation.stage()

    assert len(rotation.value("AWSPENDING")[SECRET_KEY]) == length


def test_a_token_can_be_copied(rotation: Rotation, account: Account, stack: Callable[..., None]) -> None:
    source = account.secret("theirs", json.dumps({"theirs": "another-token"}), tags={"latchkey:consent": "import"})
    rotation.begin(value={"copyFrom": {"secretArn": source, "key": "theirs"}})
    stack(ALLOWED_ORIGIN_HOSTS="*.example.com")
    rotation.check()
    rotation.stage()

    assert rotation.value("AWSPENDING")[SECRET_KEY] == "another-token"


def test_the_version_becomes_current_and_then_the_former_one_is_the_previous_one(rotation: Rotation) -> None:
    former = rotation.labels["AWSCURRENT"]
    rotation.check()
    rotation.stage()

    assert [rotation.promote()["changed"] for _ in range(2)] == [True, False]
    assert (rotation.labels["AWSCURRENT"], rotation.labels["AWSPREVIOUS"]) == (rotation.plan["version"], former)


def test_an_emergency_leaves_no_label_on_the_former_version(run: Run, account: Account) -> None:
    rotation = Rotation(run, account, "mediapackage")
    former = rotation.labels["AWSCURRENT"]
    rotation.begin(emergency=True).check()
    rotation.stage()
    rotation.promote()
    rotation.stage(again=True)

    assert [rotation.promote(again=True)["changed"] for _ in range(2)] == [True, False]
    assert rotation.promote()["changed"] is False
    assert rotation.value() == rotation.value("AWSPREVIOUS")
    assert former not in rotation.labels.values()


def test_a_label_that_somebody_else_moved_stays_where_it_is(rotation: Rotation) -> None:
    rotation.check()
    rotation.stage()
    rotation.account.secretsmanager.put_secret_value(SecretId=rotation.secret, SecretString='{"theirs": "token"}')
    theirs = rotation.labels["AWSCURRENT"]

    with pytest.raises(Conflict):
        rotation.promote()
    rotation.undo()

    assert rotation.labels["AWSCURRENT"] == theirs
    assert "AWSPENDING" not in rotation.labels


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_rollback_restores_every_label(run: Run, account: Account, steps: int) -> None:
    rotation = Rotation(run, account, "mediapackage")
    before = rotation.labels
    rotation.begin(emergency=True).check()
    made: list[Callable[[], object]] = [rotation.stage, rotation.promote, lambda: rotation.stage(again=True)]
    for step in made[:steps]:
        step()

    undone = rotation.undo()
    again = rotation.undo()

    assert rotation.labels == before
    assert undone == again
    assert registry().phases.get(rotation.access_id) is None


def test_a_failed_confirmation_leaves_the_version_pending(rotation: Rotation) -> None:
    rotation.check()
    rotation.stage()
    rotation.record("pending")
    rotation.end()
    before = rotation.labels

    rotation.begin("Rotation Confirmed").check()
    rotation.promote()
    rotation.undo()

    assert rotation.labels == before
    phase = registry().phases.get(rotation.access_id)
    assert phase
    assert phase.facts["isPending"] is True


def test_an_emergency_can_be_confirmed_after_a_confirmation_that_failed_at_its_last_change(rotation: Rotation) -> None:
    rotation.begin(emergency=True).check()
    rotation.stage()
    rotation.record("pending")
    rotation.end()
    rotation.begin("Rotation Confirmed").check()
    rotation.promote()
    rotation.stage(again=True)
    rotation.undo()
    rotation.end()

    rotation.begin("Rotation Confirmed", 2).check()
    rotation.promote()
    rotation.stage(again=True)

    assert rotation.promote(again=True)["changed"] is True


def test_a_pending_rotation_is_confirmed_once(rotation: Rotation) -> None:
    rotation.check()
    rotation.stage()
    assert rotation.record("pending")["detailType"] == "Token Pending"
    rotation.end()

    rotation.begin("Rotation Confirmed").check()
    rotation.promote()
    assert rotation.record("rotated")["detailType"] == "Token Rotated"
    rotation.end()

    assert rejection(rotation.run, "check_rotation", rotation.begin("Rotation Confirmed", 2).event).keys() == {"accessId"}


def test_a_withdrawal_removes_the_label_and_nothing_else(rotation: Rotation) -> None:
    before = rotation.labels
    rotation.check()
    rotation.stage()
    rotation.record("pending")
    rotation.end()

    rotation.begin(number=2, withdraw=True).check()
    assert [rotation.withdraw()["changed"] for _ in range(2)] == [True, False]
    assert rotation.record("withdrawn")["detailType"] == "Rotation Withdrawn"

    assert rotation.labels == before
    assert registry().phases.get(rotation.access_id) is None


def test_there_is_nothing_to_withdraw(rotation: Rotation) -> None:
    assert rejection(rotation.run, "check_rotation", rotation.begin(withdraw=True).event).keys() == {"accessId"}


def test_a_second_rotation_is_rejected_while_the_first_one_is_pending(rotation: Rotation) -> None:
    rotation.check()
    rotation.stage()

    assert rejection(rotation.run, "check_rotation", rotation.begin(number=2).event).keys() == {"accessId"}


def test_a_check_that_is_repeated_has_the_same_plan(rotation: Rotation) -> None:
    first = rotation.check()
    rotation.stage()
    rotation.promote()

    assert rotation.check() == first


def test_a_rotation_that_was_rolled_back_does_not_go_on(rotation: Rotation) -> None:
    rotation.check()
    rotation.undo()

    with pytest.raises(Conflict):
        rotation.check()


def test_a_pending_version_of_a_crashed_rotation_is_replaced(rotation: Rotation) -> None:
    rotation.check()
    rotation.stage()
    registry().phases.end(rotation.access_id, "rotating")
    rotation.end()

    rotation.begin(number=2).check()
    rotation.stage()

    assert rotation.labels["AWSPENDING"] == rotation.plan["version"]


@pytest.mark.parametrize("how", ["a value", "a pending version", "automatic rotation"])
def test_the_rotation_of_another_tool_is_left_alone(rotation: Rotation, account: Account, how: str) -> None:
    client, secret = account.secretsmanager, rotation.secret
    if how == "a value":
        client.put_secret_value(SecretId=secret, SecretString=json.dumps({SECRET_KEY: "another-token"}))
    elif how == "a pending version":
        client.put_secret_value(SecretId=secret, SecretString="{}", VersionStages=["AWSPENDING"])
    else:
        held = secretsmanager_backends[ACCOUNT][REGION].secrets[secret]
        held.rotation_requested = held.rotation_enabled = True
    before = rotation.labels

    assert rejection(rotation.run, "check_rotation", rotation.event).keys() == {"accessId"}
    assert rotation.labels == before
    assert registry().phases.get(rotation.access_id) is None


def test_an_onboarding_that_is_repeated_accepts_the_present_value(rotation: Rotation, account: Account, run: Run) -> None:
    value = json.dumps({SECRET_KEY: "another-token"})
    account.secretsmanager.put_secret_value(SecretId=rotation.secret, SecretString=value)
    Onboarding(run, account, requestId="request-2").run_through("record_access")
    rotation.recorded = rotation.recorded | {"requestId": "request-2"}

    rotation.begin().check()


def test_an_adopted_secret_keeps_its_other_members(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*.example.com")
    key = account.key(tags={"latchkey:consent": "adopt"})
    consent = {"latchkey:consent": "adopt", "latchkey:rotation-consent": "rotate"}
    value = {SECRET_KEY: "present-token", "user": "origin"}
    secret = account.secret("origin/shared", json.dumps(value), key=key, tags=consent)
    rotation = Rotation(run, account, secret=existing(secret), key={"arn": key})
    rotation.secret = secret
    rotation.check()
    rotation.stage()

    assert rotation.value("AWSPENDING") == value | {SECRET_KEY: rotation.value("AWSPENDING")[SECRET_KEY]}
    assert rotation.value("AWSPENDING") != value


def test_a_consent_that_was_withdrawn_stops_the_value(rotation: Rotation, account: Account) -> None:
    rotation.check()
    account.secretsmanager.untag_resource(SecretId=rotation.secret, TagKeys=["latchkey:managed-by"])

    with pytest.raises(Conflict):
        rotation.stage()


def test_a_copied_token_must_be_a_new_one(rotation: Rotation, account: Account, stack: Callable[..., None]) -> None:
    token = rotation.value()[SECRET_KEY]
    source = account.secret("theirs", token, tags={"latchkey:consent": "import"})
    rotation.begin(value={"copyFrom": {"secretArn": source}})
    stack(ALLOWED_ORIGIN_HOSTS="*.example.com")
    rotation.check()

    with pytest.raises(InvalidRequest, match="present token"):
        rotation.stage()


def test_a_broken_connection_is_retried_by_the_state_machine(rotation: Rotation) -> None:
    rotation.check()
    rotation.stage()
    at_call("secretsmanager", "UpdateSecretVersionStage", answer_with_error("UpdateSecretVersionStage", "InternalServiceError"))

    with pytest.raises(TransientAwsError):
        rotation.promote()
    assert rotation.promote()["changed"] is True
