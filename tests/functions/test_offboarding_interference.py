"""What people and other requests do between the steps of an offboarding or a restoration, and what a crash leaves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from latchkey.errors import Conflict, NotYetEffective
from latchkey.registry import registry
from tests.functions.account import ADOPT, TABLE, Account
from tests.functions.clean_up_steps import ACCESS
from tests.functions.fault_injection import at_call
from tests.functions.moving import Moved
from tests.functions.offboarding_steps import Offboarding
from tests.functions.onboarding_requests import EXECUTION, NAME, Run
from tests.functions.onboarding_steps import Onboarding
from tests.functions.state_machine import StateMachine
from tests.functions.test_move_key import state
from tests.functions.test_restoration import check, finish, offboarded, restore, step, with_deletion

OTHER = "mediatailor/sourceLocation/other"


@pytest.fixture(autouse=True)
def resources(account: Account) -> None:
    account.open_bus()


def is_being_deleted(account: Account, secret: str) -> bool:
    return "DeletedDate" in account.secretsmanager.describe_secret(SecretId=secret)


def test_an_offboarding_that_is_continued_after_it_was_recorded_ends_its_phase(run: Run, account: Account) -> None:
    access = Onboarding(run, account).run_through("record_access")
    offboarding = Offboarding(run, access)
    for one in (offboarding.check, offboarding.detach, offboarding.remove, offboarding.delete, offboarding.record):
        one()

    # The outcome was not reported, so another execution continues the request.
    offboarding.run_through()

    assert registry().phases.state(ACCESS) == "offboarded"
    check(run, access)


def test_a_secret_that_a_failed_offboarding_deleted_can_be_restored_after_the_next_one(run: Run, account: Account) -> None:
    access = Onboarding(run, account, **with_deletion(account)).run_through("record_access")
    failed = Offboarding(run, access)
    for one in (failed.check, failed.detach, failed.remove, failed.delete):
        one()
    assert failed.record(failed=True)["changed"]
    registry().journal.of(failed.execution, ACCESS, "default").settle(keep_open=True)
    registry().locks.unlock(ACCESS, failed.execution)

    result = Offboarding(run, access, "offboard-2").run_through()

    assert [one["resource"] for one in result["scheduled"]] == [access.secret, access.key]
    check(run, access)
    assert restore(run, access)["secretArn"] == access.secret
    finish(run, access)


def test_a_secret_that_a_person_restored_stays_when_the_offboarding_is_continued(run: Run, account: Account) -> None:
    access = Onboarding(run, account).run_through("record_access")
    offboarding = Offboarding(run, access)
    for one in (offboarding.check, offboarding.detach, offboarding.remove, offboarding.delete):
        one()
    account.secretsmanager.restore_secret(SecretId=access.secret)

    result = offboarding.run_through()

    assert not is_being_deleted(account, access.secret)
    assert (len(result["left"]), result["scheduled"]) == (1, [])


def test_a_location_that_its_owner_created_anew_is_not_deleted(run: Run, account: Account) -> None:
    access = Onboarding(run, account).run_through("record_access")
    offboarding = Offboarding(run, access, resource="delete")
    offboarding.check()
    account.mediatailor.locations[NAME]["tags"] = {**ADOPT}

    with pytest.raises(Conflict):
        offboarding.detach()

    assert NAME in account.mediatailor.locations


def test_a_location_that_gets_a_source_after_the_last_read_of_its_settings_is_not_deleted(run: Run, account: Account) -> None:
    access = Onboarding(run, account).run_through("record_access")
    offboarding = Offboarding(run, access, resource="delete")
    offboarding.check()
    at_call(
        "mediatailor",
        "DescribeSourceLocation",
        lambda: account.mediatailor.sources.update({NAME: ["film"]}),
        number=2,
        when="after-call",
    )

    with pytest.raises(Conflict):
        offboarding.detach()

    assert NAME in account.mediatailor.locations


def test_a_restoration_that_is_rolled_back_deletes_nothing_to_which_another_access_begins_to_refer(
    run: Run, account: Account
) -> None:
    access = offboarded(run, account)
    check(run, access)
    restore(run, access)
    referred, resources = [], registry().resources
    secret = f"secret {account.secretsmanager.describe_secret(SecretId=access.secret)['Name']}"

    def refer() -> None:
        with suppress(NotYetEffective):
            resources.refer(secret, OTHER)
            referred.append(OTHER)

    at_call("secretsmanager", "DeleteSecret", refer)

    run("undo_onboarding", step(access))

    assert referred == []


def test_a_move_back_that_begins_while_the_sweep_leaves_the_former_key_keeps_that_key(run: Run, account: Account) -> None:
    moved = Moved(run, account, allowDeletion=True)
    second = moved.move()
    key, back, begun = moved.first.key, f"{EXECUTION}-back", list[str]()

    def move_back() -> None:
        with suppress(NotYetEffective):
            registry().locks.lock(moved.access_id, back)
            registry().refer(key, registry().journal.of(back, moved.access_id, "default"))
            begun.append(key)

    at_call("kms", "PutKeyPolicy", move_back)

    run("leave_key", {"accessIds": second.checked["movedIds"], "executionArn": f"{EXECUTION}-clean-up", "locks": True})

    assert (begun, state(account, key)) == ([], "PendingDeletion")
    assert registry().locks.holder(moved.access_id) is None


def test_a_lock_that_a_cleanup_left_neither_holds_up_the_key_nor_starts_end_request(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    stack(GRACE_SECONDS="0")
    ending, cleaning = StateMachine("end-request"), StateMachine("clean-up-grants")
    access = offboarded(run, account, **with_deletion(account))
    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)
    registry().locks.lock(ACCESS, cleaning.start({"accessId": ACCESS, "deletesKey": True}))
    cleaning.end()

    assert run("sweep_grants", {"id": "event-1"})["deleting"] == []  # its function can still run
    account.dynamodb.update_item(
        TableName=TABLE,
        Key={"kind": {"S": "access"}, "id": {"S": ACCESS}},
        UpdateExpression="SET runningSince = :then",
        ExpressionAttributeValues={":then": {"N": "1000000000"}},
    )
    swept = run("sweep_grants", {"id": "event-2"})

    assert (swept["deleting"], swept["ending"], ending()) == ([ACCESS], [], {})
    assert run("delete_key", {"accessId": ACCESS, "executionArn": f"{EXECUTION}-clean-up"})["state"] == "scheduled"
