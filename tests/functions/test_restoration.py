"""The restoration of an offboarded access, its rollback, and the key that the sweep deletes later."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import InvalidRequest
from latchkey.onboarding.receive_request import RequestEvent, execution_input
from latchkey.registry import registry
from tests.functions.account import ACCOUNT, ADOPT, IMPORT, Account
from tests.functions.clean_up_steps import ACCESS
from tests.functions.offboarding_steps import Offboarding
from tests.functions.onboarding_requests import EXECUTION, NAME, SECRET_KEY, Run, check_event, copied, existing
from tests.functions.onboarding_steps import Onboarding, references
from tests.functions.state_machine import StateMachine
from tests.functions.test_receive_request import event

RESTORATION = "restore-1"
MACHINE = f"{EXECUTION}-{RESTORATION}"
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/media/Admin"


@pytest.fixture(autouse=True)
def bus(account: Account) -> None:
    account.open_bus()


def offboarded(run: Run, account: Account, **members: Any) -> Onboarding:
    access = Onboarding(run, account, **members).run_through("record_access")
    Offboarding(run, access, recoveryDays=7).run_through()
    return access


def with_deletion(account: Account) -> dict[str, Any]:
    """The members of a request whose key can be deleted."""
    account.role("Admin", "/media/")
    return {"key": {"administrators": [ADMIN], "allowDeletion": True}}


def check(run: Run, access: Onboarding, **members: Any) -> dict[str, Any]:
    request = access.request | {"requestId": RESTORATION}
    known = {"contentHash": "r" * 64, "executionArn": MACHINE, "kind": "Restoration Requested", "accessId": ACCESS}
    event = check_event(request, asked={"requestId": RESTORATION, "accessId": ACCESS}, **known)
    return run("check_request", event | members)


def restore(run: Run, access: Onboarding) -> dict[str, Any]:
    return run("restore_access", step(access))


def step(access: Onboarding, **members: Any) -> dict[str, Any]:
    request = access.request | {"requestId": RESTORATION}
    return {"request": request, "tenant": "default", "executionArn": MACHINE} | members


def finish(run: Run, access: Onboarding) -> None:
    """The steps of an onboarding after the deletions were cancelled."""
    assert check(run, access)["restores"] is False
    key = run("create_key", step(access))["arn"]
    secret = run("create_secret", step(access, key={"arn": key, "changed": False}, ownSecretArn=access.secret))["arn"]
    common = step(access, key={"arn": key, "changed": False}, secretArn=secret)
    run("attach_policies", common)
    resource = run("configure_access", common)["arn"]
    resources = {"keyArn": key, "secretArn": secret, "resourceArn": resource}
    run("record_access", step(access, resources=resources, status="active"))


def test_a_restored_access_has_its_secret_key_and_settings_again(run: Run, account: Account) -> None:
    access = Onboarding(run, account).run_through("record_access")
    before, token = account.mediatailor.locations[NAME]["AccessConfiguration"], account.value(access.secret)
    Offboarding(run, access).run_through()

    assert check(run, access)["restores"] is True
    assert restore(run, access)["secretArn"] == access.secret
    finish(run, access)

    assert account.mediatailor.locations[NAME]["AccessConfiguration"] == before
    assert account.value(access.secret) == token
    assert registry().phases.state(ACCESS) == "active"
    assert registry().offboardings.get(ACCESS) is None
    assert references(account)[access.key] == [ACCESS]


def test_restoring_twice_changes_nothing_more(run: Run, account: Account) -> None:
    access = offboarded(run, account)
    check(run, access)
    restore(run, access)
    before = account.snapshot()

    restore(run, access)

    assert account.snapshot() == before


def test_a_failed_restoration_schedules_the_deletion_again(run: Run, account: Account) -> None:
    access = offboarded(run, account)
    check(run, access)
    restore(run, access)

    undone = run("undo_onboarding", step(access))

    assert "DeletedDate" in account.secretsmanager.describe_secret(SecretId=access.secret)
    assert (len(undone["undone"]), undone["left"]) == (1, [])
    assert registry().phases.state(ACCESS) == "offboarded"
    assert access.key not in references(account)


def test_a_restoration_after_the_recovery_window_is_rejected(run: Run, account: Account) -> None:
    access = offboarded(run, account)
    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)
    ends = registry().offboardings.get(ACCESS)
    assert ends
    assert ends.secret_ends

    with pytest.raises(InvalidRequest) as caught:
        check(run, access)

    [problem] = caught.value.problems
    assert (problem.path, ends.secret_ends.isoformat(timespec="seconds") in problem.rule) == ("accessId", True)


def test_an_access_that_is_not_offboarded_is_not_restored(run: Run, account: Account) -> None:
    access = Onboarding(run, account).run_through("record_access")

    with pytest.raises(InvalidRequest) as caught:
        check(run, access)
    assert [problem.path for problem in caught.value.problems] == ["accessId"]


def test_onboarding_an_access_whose_secret_is_being_deleted_is_rejected(run: Run, account: Account) -> None:
    access = offboarded(run, account)
    event = check_event(access.request | {"requestId": "request-2"}, accessId=ACCESS, contentHash="s" * 64)

    with pytest.raises(InvalidRequest) as caught:
        run("check_request", event)
    assert "secret.name" in {problem.path for problem in caught.value.problems}


def delete_key(run: Run) -> dict[str, Any]:
    return run("delete_key", {"accessId": ACCESS, "executionArn": f"{EXECUTION}-clean-up"})


def test_a_key_is_deleted_only_after_its_secret_is_gone(run: Run, account: Account) -> None:
    access = offboarded(run, account, **with_deletion(account))
    assert delete_key(run)["state"] == "due"

    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)
    deleted = delete_key(run)

    assert (deleted["state"], deleted["waitingDays"], len(deleted["evidence"])) == ("scheduled", 7, 1)
    assert account.kms.describe_key(KeyId=access.key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    run("report_clean_up", {"accessId": ACCESS, "executionArn": f"{EXECUTION}-clean-up", "deletedKey": deleted})
    assert [event["detail-type"] for event in account.published()][-1] == "Key Deletion Scheduled"
    assert delete_key(run)["keyArn"] is None


def test_a_key_without_permission_to_delete_is_never_due(run: Run, account: Account) -> None:
    access = offboarded(run, account)
    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)

    assert delete_key(run)["keyArn"] is None
    assert account.kms.describe_key(KeyId=access.key)["KeyMetadata"]["KeyState"] == "Enabled"


def test_a_key_that_encrypts_another_secret_stays(run: Run, account: Account) -> None:
    access = offboarded(run, account, **with_deletion(account))
    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)
    account.secret("theirs", "{}", key=access.key)

    deleted = delete_key(run)

    assert (deleted["state"], "theirs" in deleted["users"]) == ("due", True)
    assert account.kms.describe_key(KeyId=access.key)["KeyMetadata"]["KeyState"] == "Enabled"


def test_a_key_that_a_person_scheduled_for_deletion_stays_so_and_the_restoration_is_rejected(
    run: Run, account: Account
) -> None:
    access = offboarded(run, account)
    account.kms.schedule_key_deletion(KeyId=access.key, PendingWindowInDays=7)
    before = account.snapshot() | {"table": None}

    with pytest.raises(InvalidRequest) as caught:
        check(run, access)

    assert [problem.path for problem in caught.value.problems] == ["accessId"]
    assert account.snapshot() | {"table": None} == before


def test_an_access_whose_adopted_secret_its_owner_deleted_is_rejected_before_anything_is_restored(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    secret = account.secret("theirs/token", '{"MyAccessTokenIdentifier": "not-a-real-token"}')
    access = offboarded(run, account, secret=existing(secret))
    account.secretsmanager.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)

    with pytest.raises(InvalidRequest) as caught:
        check(run, access)
    assert [problem.path for problem in caught.value.problems] == ["accessId"]


def received(run: Run) -> dict[str, Any]:
    """The input of the execution that `receive_request` starts for a restoration."""
    machine = StateMachine("onboard-access")
    detail = {"requestId": RESTORATION, "accessId": ACCESS}
    run("receive_request", event(detail, detail_type="Restoration Requested"))
    content: dict[str, Any]
    [(name, content)] = machine().items()
    return content | {"executionArn": EXECUTION.rsplit(":", 1)[0] + f":{name}"}


@pytest.mark.parametrize("created_here", [True, False])
def test_an_access_whose_secret_others_have_moved_is_restored_under_their_key(
    run: Run, account: Account, stack: Callable[..., None], created_here: bool
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    if created_here:
        access = Onboarding(run, account).run_through("record_access")
        secret = access.secret
        account.secretsmanager.tag_resource(SecretId=secret, Tags=[{"Key": "latchkey:consent", "Value": "adopt"}])
    else:
        secret = account.secret("theirs/token", '{"MyAccessTokenIdentifier": "not-a-real-token"}', key=account.key(tags=ADOPT))
        key = account.secretsmanager.describe_secret(SecretId=secret)["KmsKeyId"]
        access = Onboarding(run, account, secret=existing(secret), key={"arn": key}).run_through("record_access")
    news = {"resource": {"sourceLocation": "news"}, "secret": existing(secret)}
    key = {} if created_here else {"key": access.request["key"]}
    Onboarding(run, account, requestId="news", **news, **key).run_through("record_access")
    Offboarding(run, access).run_through()
    move = {"requestId": "move", "key": {"alias": "alias/latchkey/next", "move": True}}
    moved = Onboarding(run, account, **news, **move).run_through("record_access")
    run("leave_key", {"accessIds": moved.checked["movedIds"]})

    restored, content = Onboarding(run, account), received(run)
    restored.request = content["request"]
    execution = {"executionArn": content["executionArn"]}
    known = execution | {"contentHash": content["contentHash"]}
    check(run, restored, **known)
    run("restore_access", step(restored, **execution))
    check(run, restored, **known)
    common = step(
        restored,
        **execution,
        key={"arn": run("create_key", step(restored, **execution))["arn"], "changed": False},
        secretArn=secret,
    )
    run("attach_policies", common)
    resource = run("configure_access", common)["arn"]
    resources = {"keyArn": common["key"]["arn"], "secretArn": secret, "resourceArn": resource}
    run("record_access", step(restored, **execution, resources=resources, status="active"))

    assert common["key"]["arn"] == moved.key
    record = registry().accesses.get(ACCESS)
    assert (record.key_arn, record.secret_arn) == (moved.key, secret)  # type: ignore[union-attr]
    assert account.secretsmanager.describe_secret(SecretId=secret)["KmsKeyId"] == moved.key


def test_an_access_that_nobody_moved_is_restored_under_its_own_key(run: Run, account: Account) -> None:
    access = offboarded(run, account)
    assert received(run)["request"].get("key") == access.request.get("key")


def test_a_restored_access_keeps_the_token_that_a_rotation_has_replaced(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    """The recorded request copies a token. The origin has the later one, and the source can be gone."""
    stack(ALLOWED_ORIGIN_HOSTS="*.example.com")
    source = account.secret("theirs/token", "v" * 40, tags=IMPORT)
    access = Onboarding(run, account, secret=copied(source)).run_through("record_access")
    rotated = json.dumps({SECRET_KEY: "rotated-token"})
    account.secretsmanager.put_secret_value(SecretId=access.secret, SecretString=rotated)
    Offboarding(run, access).run_through()
    account.secretsmanager.delete_secret(SecretId=source, ForceDeleteWithoutRecovery=True)
    detail = {"requestId": RESTORATION, "accessId": ACCESS}
    received = execution_input(
        RequestEvent.model_validate({"id": "event-1", "detail-type": "Restoration Requested", "detail": detail}),
        registry().accesses.recorded_request,
    )
    assert received.request
    access.request = received.request.wire

    assert check(run, access)["restores"] is True
    restore(run, access)
    finish(run, access)

    assert account.value(access.secret) == rotated
