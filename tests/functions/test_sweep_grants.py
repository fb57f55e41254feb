"""sweep_grants: changes without an event are found on every key, and an unreadable key does not hold up the others."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.cleanup.verdict import Reason
from latchkey.errors import AccessDenied, TransientAwsError
from latchkey.registry import grant_keys, registry
from latchkey.registry.accesses import StatusChange
from latchkey.registry.notices import RecordedNotice
from latchkey.registry.requests import RequestRef
from latchkey.registry.sweep_lock import SWEEP_LOCK_SECONDS, SweepLock
from tests.functions.account import ACCOUNT, ADOPT, TABLE, Account
from tests.functions.clean_up_steps import (
    ACCESS,
    GRANT,
    delete_location,
    first_survey,
    grants,
    onboarded,
    second_survey,
    token_configuration,
)
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import EXECUTION, NAME, Run, existing
from tests.functions.onboarding_steps import Onboarding
from tests.functions.state_machine import StateMachine
from tests.functions.test_undo_onboarding import VALUE

OTHER_ACCESS = "mediatailor/sourceLocation/theirs"
FOREIGN_SECRET = "arn:aws:secretsmanager:us-east-1:444455556666:secret:theirs-abcdef"

# What the input of a cleanup contains besides if the sweep starts it.
FROM_SWEEP = {"hint": None, "leaves": False, "deletesKey": False}


@pytest.fixture(autouse=True)
def no_grace(stack: Callable[..., None]) -> None:
    stack(GRACE_SECONDS="0", ALLOWED_ORIGIN_HOSTS="*")


@pytest.fixture
def machine(account: Account) -> StateMachine:
    StateMachine("end-request")
    return StateMachine("clean-up-grants")


def sweep(run: Run, event_id: str = "event-1") -> dict[str, Any]:
    return run("sweep_grants", {"id": event_id})


def refuse_calls(service: str, operation: str, named: str, **error: Any) -> None:
    """Lets every call of an operation that names `text` return an error."""
    client: Any = clients.kms() if service == "kms" else clients.secretsmanager()

    def answer(params: dict[str, Any], **_: Any) -> None:
        if named in str(params["body"]):
            answer_with_error(operation, **error)()

    event = f"before-call.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register_first(event, answer)


def know(account: Account, access_id: str, key: str) -> None:
    """Records that an access can have a grant on a key."""
    item = {"kind": {"S": "access"}, "id": {"S": access_id}, "grantKeys": {"SS": [key]}}
    account.dynamodb.put_item(TableName=TABLE, Item=item)


def test_each_sweep_event_starts_a_cleanup_once(run: Run, account: Account, machine: StateMachine) -> None:
    access = onboarded(run, account)
    assert (sweep(run)["cleaning"], machine()) == ([], {})

    delete_location(account)
    swept = sweep(run)

    assert swept == {
        "accesses": 1,
        "keys": 1,
        "grants": 1,
        "unreadable": 0,
        "revoked": 0,
        "drifted": 0,
        "irrevocable": 0,
        "cleaning": [ACCESS],
        "rotating": [],
        "ending": [],
        "deleting": [],
        "anotherSweeps": False,
    }
    assert [*machine().values()] == [
        {"accessId": ACCESS, "keys": [access.key], "hint": None, "leaves": False, "deletesKey": False}
    ]
    assert (sweep(run), len(machine())) == (swept, 1)


def test_an_unreported_change_starts_a_cleanup(run: Run, account: Account, machine: StateMachine) -> None:
    onboarded(run, account)
    record = registry().accesses.get(ACCESS)
    assert record
    change = StatusChange(kind="Access Revoked", detail="{}", executionArn="execution", at=datetime.now(UTC))
    registry().accesses.record_status(record, "revoked", [], changes=[change])
    assert sweep(run)["cleaning"] == [ACCESS]

    registry().accesses.note_published(ACCESS, change)
    revoked = registry().accesses.get(ACCESS)
    assert revoked
    registry().accesses.record_status(revoked, "active", [])

    assert sweep(run)["cleaning"] == []


@pytest.mark.parametrize("status", ["revoked", "detached"])
def test_an_access_that_is_revoked_is_looked_at_by_every_sweep(
    run: Run, account: Account, machine: StateMachine, status: Any
) -> None:
    """What its owner repaired can have no event, as with a role."""
    onboarded(run, account)
    record = registry().accesses.get(ACCESS)
    assert record
    registry().accesses.record_status(record, status, [])

    assert sweep(run, "event-1")["cleaning"] == [ACCESS]
    assert sweep(run, "event-2")["cleaning"] == [ACCESS]


def test_a_sweep_reads_no_policy_of_a_key(run: Run, account: Account, machine: StateMachine) -> None:
    """The reconciliation compares policies. No failure of these reads holds up an orphaned grant."""
    access = onboarded(run, account)
    delete_location(account)
    refuse_calls("kms", "GetKeyPolicy", access.key, code="Odd", status=400)

    assert sweep(run)["cleaning"] == [ACCESS]


def test_a_sweep_records_until_when_each_access_was_in_use(run: Run, account: Account, machine: StateMachine) -> None:
    onboarded(run, account)
    sweep(run, "event-1")
    first = registry().sweeps.state()
    assert first.began

    delete_location(account)
    sweep(run, "event-2")
    second = registry().sweeps.state()
    sweep(run, "event-3")

    assert (first.in_use_at(ACCESS), second.in_use_at(ACCESS), second.suspects) == (
        first.began,
        first.began,
        {ACCESS: first.began},
    )
    assert registry().sweeps.state().in_use_at(ACCESS) == first.began
    assert second.began
    assert second.began > first.began


def test_a_lost_grant_starts_a_cleanup(run: Run, account: Account, machine: StateMachine) -> None:
    """The event of RetireGrant or RevokeGrant was lost, and the source location still sends the token."""
    access = onboarded(run, account)
    assert sweep(run)["cleaning"] == []
    for grant in grants(account, access.key):
        account.kms.revoke_grant(KeyId=access.key, GrantId=grant)

    assert sweep(run, "event-2")["cleaning"] == [ACCESS]


def test_a_grant_on_an_unreadable_key_is_not_lost(run: Run, account: Account, machine: StateMachine) -> None:
    access = onboarded(run, account)
    refuse_calls("kms", "ListGrants", access.key, code="AccessDeniedException", status=400)

    assert sweep(run)["cleaning"] == []


@pytest.mark.parametrize("disable", ["disable_key", "schedule_key_deletion"])
def test_a_disabled_key_starts_a_cleanup(run: Run, account: Account, machine: StateMachine, disable: str) -> None:
    """The event of the call was lost."""
    access = onboarded(run, account)
    getattr(account.kms, disable)(KeyId=access.key.rpartition("/")[2])

    assert sweep(run)["cleaning"] == [ACCESS]


def test_the_state_of_an_unreadable_key_is_unknown(run: Run, account: Account, machine: StateMachine) -> None:
    access = onboarded(run, account)
    account.kms.disable_key(KeyId=access.key.rpartition("/")[2])
    refuse_calls("kms", "DescribeKey", access.key, code="AccessDeniedException", status=400)

    assert sweep(run)["cleaning"] == []


def test_an_old_notice_starts_a_cleanup(run: Run, account: Account, machine: StateMachine) -> None:
    onboarded(run, account)
    for notice_id, age in (("new", timedelta()), ("old", timedelta(minutes=11))):
        at = datetime.now(UTC) - age
        change = StatusChange(kind="Grants Cleaned Up", detail="{}", executionArn="execution", at=at)
        notice = RecordedNotice(ACCESS, notice_id, change)
        registry().notices.record(notice)
        assert sweep(run, f"event-{notice_id}")["cleaning"] == ([ACCESS] if age else [])

    registry().notices.keep_published(notice)

    assert sweep(run, "event-3")["cleaning"] == []


def test_requests_without_an_outcome_and_holders_of_old_locks_are_ended_once(
    run: Run, account: Account, machine: StateMachine
) -> None:
    """`one` was never claimed; `two` holds a lock as well; `three` was reported, and its lock was not released."""
    one, two, three, new = (f"{EXECUTION}-{name}" for name in ("one", "two", "three", "new"))
    two_hours = timedelta(hours=2, minutes=1)
    for request_id, execution, age in (("one", one, two_hours), ("two", two, two_hours), ("new", new, timedelta())):
        registry().requests.receive(RequestRef(request_id, "c" * 64), "event", execution)
        key = {"kind": {"S": "request"}, "id": {"S": request_id}}
        received = {":at": {"S": (datetime.now(UTC) - age).isoformat()}}
        account.dynamodb.update_item(
            TableName=TABLE, Key=key, UpdateExpression="SET receivedAt = :at", ExpressionAttributeValues=received
        )
    for name, holder, age in (("two", two, two_hours), ("three", three, two_hours), ("new", new, timedelta())):
        since = str(int((datetime.now(UTC) - age).timestamp()))
        item = {"kind": {"S": "access"}, "id": {"S": f"mediatailor/sourceLocation/{name}"}, "running": {"S": holder}}
        account.dynamodb.put_item(TableName=TABLE, Item=item | {"runningSince": {"N": since}})

    assert sorted(sweep(run)["ending"]) == sorted([one, two, three])


def test_a_concurrent_sweep_ends_and_changes_nothing(run: Run, account: Account, machine: StateMachine) -> None:
    onboarded(run, account)
    delete_location(account)
    seen: list[Any] = []

    def sweep_again() -> None:
        before = (account.snapshot(), machine())
        seen.append(sweep(run, "event-2"))
        assert (account.snapshot(), machine()) == before

    at_call("kms", "ListGrants", sweep_again)

    swept = sweep(run)

    assert [(one["cleaning"], one["keys"], one["anotherSweeps"]) for one in seen] == [([], 0, True)]
    assert (swept["cleaning"], swept["anotherSweeps"]) == ([ACCESS], False)


def test_a_crashed_sweep_is_repeated_by_its_retry_or_after_its_lock_expired(
    monkeypatch: pytest.MonkeyPatch, run: Run, account: Account, machine: StateMachine
) -> None:
    onboarded(run, account)
    monkeypatch.setattr(SweepLock, "unlock", lambda *_: None)
    assert sweep(run)["anotherSweeps"] is False
    assert [sweep(run, event)["anotherSweeps"] for event in ("event-2", "event-1")] == [True, False]

    now = time.time()
    monkeypatch.setattr("latchkey.registry.sweep_lock.time.time", lambda: now + SWEEP_LOCK_SECONDS + 1)

    assert sweep(run, "event-2")["anotherSweeps"] is False


def test_a_failed_sweep_releases_its_lock(run: Run, account: Account, machine: StateMachine) -> None:
    onboarded(run, account)
    at_call("kms", "ListGrants", answer_with_error("ListGrants", "KMSInternalException", 500))
    with pytest.raises(TransientAwsError):
        sweep(run)

    assert sweep(run, "event-2")["anotherSweeps"] is False


def test_requests_within_the_grace_period_start_the_same_executions(
    run: Run, account: Account, machine: StateMachine, stack: Callable[..., None]
) -> None:
    stack(GRACE_SECONDS="600")
    onboarded(run, account)
    delete_location(account)
    for number in range(3):
        assert sweep(run, f"event-{number}")["cleaning"] == [ACCESS]
    assert len(machine()) == 1

    stack(GRACE_SECONDS="0")

    sweep(run, "event-9")
    assert len(machine()) == 2


def test_a_source_location_that_names_its_secret_without_the_suffix_needs_no_cleanup(
    run: Run, account: Account, machine: StateMachine
) -> None:
    access = onboarded(run, account)
    account.mediatailor.add(NAME, token_configuration(access.secret[: -len("-abcdef")]))

    assert sweep(run)["cleaning"] == []


def test_a_source_location_that_names_its_secret_without_the_suffix_lacks_no_grant(
    run: Run, account: Account, machine: StateMachine
) -> None:
    access = onboarded(run, account)
    delete_location(account)
    second_survey(run, first_survey(run))
    account.mediatailor.add(NAME, token_configuration(access.secret[: -len("-abcdef")]))
    assert sweep(run)["cleaning"] == [ACCESS]

    account.mediatailor.at_update()

    assert sweep(run, "event-2")["cleaning"] == []


def test_an_unreadable_key_does_not_hold_up_the_others(run: Run, account: Account, machine: StateMachine) -> None:
    access, unreadable = onboarded(run, account), account.key(tags=ADOPT)
    know(account, OTHER_ACCESS, unreadable)
    know(account, "mediatailor/sourceLocation/fine", account.key())
    delete_location(account)
    refuse_calls("kms", "ListGrants", unreadable)

    swept = sweep(run)

    assert (swept["cleaning"], swept["keys"], swept["unreadable"]) == ([ACCESS], 3, 1)
    assert [content["keys"] for content in machine().values()] == [[access.key]]


def test_unreadable_keys_and_secrets_are_counted(
    run: Run, account: Account, machine: StateMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    key = account.key()
    know(account, OTHER_ACCESS, key)
    assert sweep(run)["unreadable"] == 0
    refuse_calls("kms", "ListGrants", key)
    assert sweep(run)["unreadable"] == 1

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "Unreadable" in line]
    assert [line["Unreadable"] for line in lines] == [[0.0], [1.0]]


def test_an_unreadable_secret_does_not_hold_up_the_sweep(run: Run, account: Account, machine: StateMachine) -> None:
    """A source location that used our key can name a secret of another account by now."""
    access = onboarded(run, account)
    account.mediatailor.add(NAME, token_configuration(FOREIGN_SECRET))
    refuse_calls("secretsmanager", "DescribeSecret", "444455556666")

    swept = sweep(run)
    cleaned = second_survey(run, first_survey(run))

    assert (swept["cleaning"], swept["unreadable"]) == ([ACCESS], 1)
    assert [removed["reason"] for removed in cleaned["removed"]] == [Reason.OTHER_SECRET.text()]
    assert grants(account, access.key) == []


def test_a_grant_whose_secret_cannot_be_read_is_kept(run: Run, account: Account, machine: StateMachine) -> None:
    access = onboarded(run, account)
    refuse_calls("secretsmanager", "GetResourcePolicy", access.secret)

    swept, first = sweep(run), first_survey(run)

    assert (swept["cleaning"], swept["unreadable"], first["orphaned"]) == ([], 1, False)
    assert [(grant["verdict"], grant["reason"]) for grant in first["grants"]] == [("suspect", Reason.SECRET_UNREADABLE.text())]


@pytest.mark.parametrize(
    ("service", "operation"),
    [("kms", "ListGrants"), ("secretsmanager", "DescribeSecret"), ("secretsmanager", "GetResourcePolicy")],
)
@pytest.mark.parametrize("error", [{"code": "ThrottlingException"}, {"code": "InternalFailure", "status": 500}], ids=str)
def test_a_transient_error_does_not_make_a_key_unreadable(
    run: Run, account: Account, machine: StateMachine, service: str, operation: str, error: dict[str, Any]
) -> None:
    onboarded(run, account)
    refuse_calls(service, operation, "", **error)

    with pytest.raises(TransientAwsError):
        sweep(run)
    with pytest.raises(TransientAwsError):
        first_survey(run)
    assert machine() == {}


def test_an_unreadable_former_key_is_reported_and_kept(run: Run, account: Account) -> None:
    access, former = onboarded(run, account), account.key(tags=ADOPT)
    registry().granted.note(ACCESS, former)
    delete_location(account)
    refuse_calls("kms", "ListGrants", former)

    first = first_survey(run)
    cleaned = second_survey(run, first)

    assert first["unreadable"] == [former]
    assert len(cleaned["removed"]) == 1
    assert registry().granted.of(ACCESS) == {access.key, former}


def test_a_grant_on_an_unreadable_key_is_not_reported_as_retired(run: Run, account: Account) -> None:
    account.open_bus()
    access = onboarded(run, account)
    delete_location(account)
    refuse_calls("kms", "ListGrants", access.key)

    run("report_clean_up", {"accessId": ACCESS, "executionArn": "execution", "look": first_survey(run)})

    assert account.published() == []


def test_a_grant_on_an_unreadable_key_does_not_replace_another_one(run: Run, account: Account) -> None:
    """A grant on the key of the secret must have been seen."""
    access, new = onboarded(run, account), account.key(tags=ADOPT)
    account.secretsmanager.update_secret(SecretId=access.secret, KmsKeyId=new)
    account.grant(new, GRANT, access.secret)
    refuse_calls("kms", "ListGrants", new)

    first = first_survey(run, new)

    reason = Reason.KEY_UNREADABLE.text()
    assert [(grant["verdict"], grant["reason"]) for grant in first["grants"]] == [("suspect", reason)]
    assert first["unreadable"] == [new]


def test_list_grants_reports_unreadable_keys(run: Run, account: Account) -> None:
    access, unreadable = onboarded(run, account), account.key(tags=ADOPT)
    know(account, OTHER_ACCESS, unreadable)
    refuse_calls("kms", "ListGrants", unreadable)

    swept = run("list_grants", {"keys": []})

    assert [(grant["keyArn"], grant["classed"]) for grant in swept["grants"]] == [(access.key, "in use")]
    assert swept["unreadable"] == [unreadable]


def test_the_former_key_of_an_access_that_was_adopted_configured_is_swept(run: Run, account: Account) -> None:
    theirs = account.key(tags=ADOPT, alias="alias/theirs")
    secret = account.secret("theirs/token", VALUE, key=theirs)
    account.mediatailor.add(NAME, token_configuration(secret))
    account.grant(theirs, GRANT, secret)
    Onboarding(run, account, key={"arn": theirs}, secret=existing(secret)).run_through("record_access")

    moved = {"key": {"alias": "alias/latchkey/new"}, "secret": existing(secret, moveKey=True)}
    after = Onboarding(run, account, requestId="request-2", **moved).run_through("record_access")

    assert registry().granted.of(ACCESS) == {theirs, after.key}


def test_the_key_of_an_access_that_is_restored_is_swept(run: Run, account: Account) -> None:
    theirs = account.key(tags=ADOPT, alias="alias/theirs")
    secret = account.secret("theirs/token", VALUE, key=theirs)
    account.mediatailor.add(NAME, token_configuration(secret))
    account.grant(theirs, GRANT, secret)
    access = Onboarding(run, account, key={"arn": theirs}, secret=existing(secret)).run_through("record_access")

    registry().accesses.restore(ACCESS, access.request["requestId"], {})

    assert registry().accesses.get(ACCESS) is None
    assert registry().granted.of(ACCESS) == {theirs}


def test_an_orphaned_grant_of_an_unknown_source_location_is_found_on_an_unused_key(
    monkeypatch: pytest.MonkeyPatch, run: Run, account: Account, machine: StateMachine
) -> None:
    """A management role can configure other source locations with a key of Latchkey."""
    monkeypatch.setattr(grant_keys, "UNLISTED", timedelta(seconds=-5))
    access = Onboarding(run, account).run_through("configure_access")
    account.grant(access.key, GRANT, access.secret)
    access.end()
    account.grant(access.key, f"MediaTailor-SourceLocation-{ACCOUNT}-theirs", access.secret)
    delete_location(account)
    second_survey(run, first_survey(run))
    assert registry().granted.of(ACCESS) == frozenset()

    swept = sweep(run)

    assert (swept["cleaning"], swept["keys"]) == ([OTHER_ACCESS], 1)
    assert [*machine().values()] == [
        {"accessId": OTHER_ACCESS, "keys": [access.key], "hint": None, "leaves": False, "deletesKey": False}
    ]
    assert len(run("list_grants", {"keys": []})["grants"]) == 1


def test_a_recreated_resource_with_an_unreadable_secret_is_retried(run: Run, account: Account) -> None:
    access = onboarded(run, account)
    delete_location(account)
    first = first_survey(run)
    refuse_calls("secretsmanager", "DescribeSecret", access.secret)
    at_call("kms", "RevokeGrant", lambda: account.mediatailor.add(NAME, token_configuration(access.secret)))

    with pytest.raises(AccessDenied):
        second_survey(run, first)

    assert [noted.access_id for noted in registry().revocations.open()] == [ACCESS]
