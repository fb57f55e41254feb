"""An active access moves to another key: all accesses of its secret move or none does, and the former key is left."""

import json
from collections.abc import Callable

import pytest

from latchkey.errors import NotYetEffective
from latchkey.registry import registry
from tests.functions.account import ADOPT, Account
from tests.functions.moving import ALIAS, Moved, Sharing
from tests.functions.offboarding_steps import Offboarding
from tests.functions.onboarding_requests import EXECUTION, RESOURCES, Run, check_event, onboarding, rejection
from tests.functions.onboarding_steps import Onboarding, account_snapshot, key_statements, references

NEWS = "mediatailor/sourceLocation/news-origin"
READING = ("mediatailor", "mediapackage", "mediapackage-vod", "mediapackagev2")


@pytest.fixture
def moved(run: Run, account: Account) -> Moved:
    return Moved(run, account)


def state(account: Account, key: str) -> str:
    found: str = account.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    return found


def sids(account: Account, key: str) -> list[str]:
    return [statement["Sid"] for statement in key_statements(account, key)]


@pytest.mark.parametrize("system", READING)
def test_an_access_of_each_system_moves(run: Run, account: Account, system: str) -> None:
    moved = Moved(run, account, system)
    second = moved.move()
    left = moved.leave(second)

    assert second.key != moved.first.key
    assert account.secretsmanager.describe_secret(SecretId=second.secret)["KmsKeyId"] == second.key
    record = registry().accesses.get(moved.access_id)
    assert record is not None
    assert (record.key_arn, record.status, registry().phases.get(moved.access_id)) == (second.key, "active", None)
    assert moved.access_id not in references(account).get(moved.first.key, [])
    assert sids(account, moved.first.key) == ["EnableIAMUserPermissions", "LatchkeyCreation"]
    assert (state(account, moved.first.key), len(left["left"])) == ("Enabled", 1)
    assert moved.leave(second) == {"removed": [], "left": [], "evidence": []}


def test_the_phase_of_an_access_that_moves_is_visible(moved: Moved) -> None:
    moved.request().run_through("configure_access")
    assert registry().phases.state(moved.access_id) == "moving"


def test_a_key_of_latchkey_is_deleted_if_a_request_allowed_it(run: Run, account: Account) -> None:
    moved = Moved(run, account, allowDeletion=True)
    left = moved.leave(moved.move())
    assert (state(account, moved.first.key), left["left"]) == ("PendingDeletion", [])
    assert [one["resource"] for one in left["evidence"]] == [moved.first.key]


def test_a_key_that_something_else_uses_stays(run: Run, account: Account) -> None:
    moved = Moved(run, account, allowDeletion=True)
    account.secret("of/somebody", "x" * 20, key=moved.first.key)
    left = moved.leave(moved.move())
    assert (state(account, moved.first.key), len(left["left"])) == ("Enabled", 1)


def test_an_adopted_key_is_never_deleted(run: Run, account: Account) -> None:
    key = account.key(tags=ADOPT)
    moved = Moved(run, account, arn=key)
    left = moved.leave(moved.move())
    assert (state(account, key), len(left["left"])) == ("Enabled", 1)


def test_the_statements_of_another_access_stay_on_the_former_key(moved: Moved) -> None:
    reader = moved.account.role("Reader", "/media/")
    other = {"resource": {"sourceLocation": "news-origin"}, "secret": {"originReaders": [reader]}}
    Onboarding(moved.run, moved.account, requestId="news", **other).run_through("record_access")

    moved.leave(moved.move())

    assert reader in json.dumps(key_statements(moved.account, moved.first.key))
    assert "LatchkeyMediatailorManagement" in sids(moved.account, moved.first.key)


def test_the_same_move_again_changes_nothing(moved: Moved) -> None:
    moved.leave(moved.move())
    before = account_snapshot(moved.account)
    again = Onboarding(moved.run, moved.account, requestId="again", key={"alias": ALIAS, "move": True})
    again.run_through("configure_access")
    assert (again.checked["movedIds"], again.checked["companions"]) == ([], [])
    after = account_snapshot(moved.account)
    assert [part for part in before if part != "table" and after[part] != before[part]] == []


@pytest.fixture
def sharing(run: Run, account: Account, stack: Callable[..., None]) -> Sharing:
    return Sharing(run, account, stack)


def test_the_former_key_loses_the_statements_of_all_accesses_while_the_move_is_running(sharing: Sharing) -> None:
    second = sharing.move()
    for access_id in second.checked["movedIds"]:
        registry().locks.lock(access_id, EXECUTION)
        recorded = registry().accesses.recorded_request(access_id)
        assert recorded
        registry().locks.announce_request(access_id, recorded.recorded, EXECUTION)

    sharing.run("leave_key", {"accessIds": second.checked["movedIds"], "executionArn": EXECUTION})

    assert not {sid for sid in sids(sharing.account, sharing.key) if sid.startswith("LatchkeyMediatailor")}


def test_all_accesses_of_a_secret_move(sharing: Sharing) -> None:
    second = sharing.move()
    left = sharing.leave(second)

    assert second.checked["movedIds"] == [sharing.access_id, NEWS]
    for access_id in second.checked["movedIds"]:
        record = registry().accesses.get(access_id)
        assert record is not None
        assert (record.key_arn, record.status, registry().phases.get(access_id)) == (second.key, "active", None)
        assert not registry().locks.is_locked(access_id)
        assert second.key in registry().granted.of(access_id)
    assert [sid for sid in sids(sharing.account, sharing.key) if sid.startswith("Latchkey")] == []
    assert left["left"] == [f"{sharing.key} stays, because Latchkey did not create it"]


@pytest.mark.parametrize("until", ["check_request", "create_key", "create_secret", "attach_policies", "configure_access"])
def test_a_failed_move_leaves_every_access_with_its_former_key(sharing: Sharing, until: str) -> None:
    before = account_snapshot(sharing.account)
    failed = sharing.request().run_through(until)
    failed.undo()
    failed.end()

    after = account_snapshot(sharing.account)
    assert (failed.left, {arn for arn, key_state in after["keys"].items() if key_state == "Enabled"}) == ([], {sharing.key})
    for part in ("aliases", "locations", "roles"):
        assert after[part] == before[part], part
    assert after["secrets"][sharing.secret]["KmsKeyId"] == sharing.key
    assert after["policies"][sharing.key] == before["policies"][sharing.key]
    assert (failed.left, references(sharing.account)[sharing.key]) == ([], sorted([sharing.access_id, NEWS]))
    assert [registry().phases.get(one) for one in (sharing.access_id, NEWS)] == [None, None]
    assert [registry().locks.is_locked(one) for one in (sharing.access_id, NEWS)] == [False, False]


def test_a_move_waits_for_a_request_of_another_access(sharing: Sharing) -> None:
    registry().locks.lock(NEWS, "arn:aws:states:eu-west-1:123456789012:execution:onboard-access:other")
    request = sharing.request()
    with pytest.raises(NotYetEffective):
        request.check_request()
    assert not registry().locks.is_locked(sharing.access_id)


@pytest.mark.parametrize("change", ["unmanaged", "offboarding", "beyond the bounds", "configured by its owner"])
def test_a_move_that_another_access_cannot_make_is_rejected(sharing: Sharing, stack: Callable[..., None], change: str) -> None:
    record = registry().accesses.get(NEWS)
    assert record is not None
    if change == "unmanaged":
        registry().accesses.mark_unmanaged(record, [])
    elif change == "offboarding":
        registry().phases.begin(NEWS, "offboarding", "request-9")
    elif change == "configured by its owner":
        wanted = registry().accesses.recorded_request(NEWS)
        assert wanted is not None
        resource = wanted.resource.model_copy(update={"configure": False})
        registry().accesses.save(record, wanted.model_copy(update={"resource": resource}).wire)
    else:
        stack(ALLOWED_ORIGIN_HOSTS="*", TRUSTED_PRINCIPAL_PATTERNS="arn:aws:iam::123456789012:role/other/*")
    request = sharing.request()
    event = check_event(request.request, accessId=sharing.access_id, contentHash="m" * 64, executionArn=request.execution)
    rules = rejection(sharing.run, "check_request", event)
    assert [*rules] == ["key.move"]
    assert NEWS in rules["key.move"]


def test_an_access_that_is_not_recorded_cannot_move(run: Run, account: Account) -> None:
    rules = rejection(run, "check_request", check_event(onboarding(key={"alias": ALIAS, "move": True})))
    assert [*rules] == ["key.move"]


def test_another_key_needs_the_consent_of_the_sender(moved: Moved) -> None:
    request = onboarding(requestId="request-2", key={"alias": ALIAS})
    rules = rejection(moved.run, "check_request", check_event(request, contentHash="e" * 64))
    assert [*rules] == ["secret.name"]
    assert "key.move" in rules["secret.name"]


def test_every_system_that_reads_a_secret_is_tried() -> None:
    assert {*RESOURCES} - {*READING} == {"mediaconnect", "adobe-experience-platform"}


def test_the_request_that_moves_an_access_does_not_keep_its_former_statements(moved: Moved) -> None:
    second = moved.request().run_through("configure_access")
    resources = {"keyArn": second.key, "secretArn": second.secret, "resourceArn": second.resource}
    event = {"request": second.request, "resources": resources, "status": "active", "executionArn": second.execution}
    moved.run("record_access", event)

    moved.run("leave_key", {"accessIds": second.checked["movedIds"], "executionArn": second.execution})

    assert sids(moved.account, moved.first.key) == ["EnableIAMUserPermissions", "LatchkeyCreation"]


def test_an_access_that_another_request_changes_is_left_alone(moved: Moved) -> None:
    second = moved.move()
    before = sids(moved.account, moved.first.key)
    registry().locks.lock(moved.access_id, "arn:aws:states:eu-west-1:123456789012:execution:onboard-access:other")

    assert moved.leave(second) == {"removed": [], "left": [], "evidence": []}
    assert sids(moved.account, moved.first.key) == before


def test_a_secret_that_was_moved_back_keeps_its_key(moved: Moved) -> None:
    second = moved.move()
    moved.account.secretsmanager.update_secret(SecretId=second.secret, KmsKeyId=moved.first.key)
    before = sids(moved.account, moved.first.key)

    assert len(moved.leave(second)["left"]) == 1
    assert sids(moved.account, moved.first.key) == before


def test_a_move_is_rejected_while_another_access_of_the_secret_is_not_recorded(sharing: Sharing) -> None:
    other = "mediatailor/sourceLocation/late-origin"
    registry().resources.refer("secret origin/token", other)
    request = sharing.request()
    event = check_event(request.request, accessId=sharing.access_id, contentHash="m" * 64, executionArn=request.execution)

    rules = rejection(sharing.run, "check_request", event)

    assert ([*rules], other in rules["key.move"]) == (["key.move"], True)
    assert not registry().locks.is_locked(other)


def test_a_move_waits_for_the_restoration_of_another_access_of_the_secret(sharing: Sharing) -> None:
    account, run, registered = sharing.account, sharing.run, registry()
    account.open_bus()
    Offboarding(run, sharing.news, "offboard-news").run_through()
    assert registered.phases.state(NEWS) == "offboarded"
    restoring = f"{EXECUTION}-restore"
    registered.locks.lock(NEWS, restoring)
    request = sharing.news.request | {"requestId": "restore"}
    run("restore_access", {"request": request, "tenant": "default", "executionArn": restoring})

    with pytest.raises(NotYetEffective):
        sharing.request().check_request()

    assert not registered.locks.is_locked(sharing.access_id)
    assert registered.phases.get(sharing.access_id) is None
