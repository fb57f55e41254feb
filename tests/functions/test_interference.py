"""Requests, rollbacks and owners that act between two calls of a request: nothing that others use or added is lost."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from moto.kms.models import kms_backends

from latchkey.errors import AccessDenied, LatchkeyError, NotYetEffective, TransientAwsError
from latchkey.registry import registry
from latchkey.registry.requests import RequestRef
from tests.functions.account import ACCOUNT, ADOPT, OURS, REGION, TABLE, Account
from tests.functions.fault_injection import answer_with_error, at_call, lose_connection
from tests.functions.onboarding_requests import SECRET_KEY, Run, existing
from tests.functions.onboarding_steps import Onboarding, key_statements, references
from tests.functions.state_machine import StateMachine

ACCESS_ID = "mediatailor/sourceLocation/sports-origin"
NEWS = {"requestId": "news-1", "resource": {"sourceLocation": "news-origin"}}
OF_REQUEST = OURS | {"latchkey:request": "request-1"}


@pytest.fixture(autouse=True)
def _trusted(stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*", TRUSTED_PRINCIPAL_PATTERNS="arn:aws:iam::*:role/*")


def aged(account: Account, key: str) -> str:
    """Makes a key a day old."""
    found = kms_backends[ACCOUNT][REGION].keys[key.rsplit("/", 1)[1]]
    found.creation_date -= timedelta(days=1).total_seconds()
    assert account.kms.describe_key(KeyId=key)
    return key


def date_back(account: Account, kind: str, member: str, age: timedelta) -> None:
    """Makes every item of a kind older."""
    then = (datetime.now(UTC) - age).isoformat()
    for item in account.items(kind):
        account.dynamodb.put_item(TableName=TABLE, Item=item | {member: {"S": then}})


def enabled_keys(account: Account) -> list[str]:
    arns = [key["KeyArn"] for key in account.kms.list_keys()["Keys"]]
    return [arn for arn in arns if account.kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == "Enabled"]


def test_statements_that_a_rollback_removed_are_not_written_again_by_another_request(run: Run, account: Account) -> None:
    one, two = account.role("One"), account.role("Two")
    first = Onboarding(run, account, requestId="x", resource={"sourceLocation": "first"}).run_through("record_access")
    failed = Onboarding(run, account, secret={"originReaders": [one]}).run_through("attach_policies")
    other = Onboarding(run, account, **NEWS, secret={"originReaders": [two]}).run_through("create_secret")
    at_call("secretsmanager", "DeleteSecret", lose_connection)
    with pytest.raises(TransientAwsError):
        run("undo_onboarding", failed.undo_event)
    assert one not in json.dumps(key_statements(account, first.key))

    other.attach_policies()
    failed.undo()

    left = json.dumps(key_statements(account, first.key))
    assert (one in left, two in left) == (False, True)


def test_a_failed_request_keeps_the_reference_of_the_record(run: Run, account: Account) -> None:
    active = Onboarding(run, account).run_through("record_access")
    before = key_statements(account, active.key)
    again = Onboarding(run, account, requestId="request-2").run_through("check_request")
    at_call("kms", "DescribeKey", lambda: account.kms.disable_key(KeyId=active.key.rsplit("/", 1)[1]), number=2)
    with pytest.raises(TransientAwsError):
        again.create_key()
    again.undo()
    again.end()
    account.kms.enable_key(KeyId=active.key.rsplit("/", 1)[1])

    other = Onboarding(run, account, **NEWS).run_through("attach_policies")
    other.undo()

    assert references(account)[active.key] == [ACCESS_ID]
    assert key_statements(account, active.key) == before


def test_a_key_that_somebody_tagged_is_not_taken_for_the_key_of_a_request(run: Run, account: Account) -> None:
    foreign = aged(account, account.key(tags=OF_REQUEST))
    request = Onboarding(run, account).run_through("check_request")
    at_call("kms", "CreateKey", answer_with_error("CreateKey", "ThrottlingException"))
    with pytest.raises(TransientAwsError):
        request.create_key()

    request.create_key()

    assert request.key != foreign


def test_a_key_that_somebody_tagged_is_not_deleted_by_a_rollback(run: Run, account: Account) -> None:
    foreign = aged(account, account.key(tags=OF_REQUEST))
    request = Onboarding(run, account).run_through("check_request")
    at_call("kms", "CreateKey", answer_with_error("CreateKey"))
    with pytest.raises(AccessDenied):
        request.create_key()

    assert request.undo() == []
    assert enabled_keys(account) == [foreign]


def test_the_key_of_another_tenant_with_the_same_request_id_hides_no_key(run: Run, account: Account) -> None:
    theirs = account.key(tags=OF_REQUEST | {"latchkey:tenant": "aaa"})
    request = Onboarding(run, account).run_through("check_request")
    at_call("kms", "CreateKey", lose_connection, when="after-call")
    with pytest.raises(TransientAwsError):
        request.create_key()
    [own] = {*enabled_keys(account)} - {theirs}

    request.create_key()

    assert request.key == own
    request.undo()
    assert enabled_keys(account) == [theirs]


def test_a_rollback_that_another_one_overtook_changes_nothing_and_stops_no_sweep(run: Run, account: Account) -> None:
    StateMachine("end-request")
    StateMachine("clean-up-grants")
    key = account.key(tags=ADOPT)
    secret = account.secret("origin/token", json.dumps({SECRET_KEY: "a" * 20}), key=key)
    failed = Onboarding(run, account, secret=existing(secret), key={"arn": key}).run_through("attach_policies")
    slow, fast = ({**failed.undo_event, "holder": f"arn:aws:states:us-east-1:1:execution:end-request:{name}"} for name in "12")

    def overtake() -> None:
        for item in account.items("lease"):  # the slow one has held its lease for too long
            account.dynamodb.delete_item(TableName=TABLE, Key={name: item[name] for name in ("kind", "id")})
        run("undo_onboarding", fast)
        failed.end()

    # The slow one has read the policy and is about to write it.
    at_call("secretsmanager", "GetResourcePolicy", overtake, when="after-call")
    with pytest.raises(TransientAwsError):
        run("undo_onboarding", slow)

    assert run("undo_onboarding", slow)["undone"] == []
    assert account.items("journal") == []
    assert run("sweep_grants", {"id": "event-1"})["ending"] == []


def test_a_rollback_continues_after_step_functions_has_deleted_the_execution(run: Run, account: Account) -> None:
    failed = Onboarding(run, account).run_through("attach_policies")
    at_call("secretsmanager", "DeleteSecret", answer_with_error("DeleteSecret"))
    with pytest.raises(LatchkeyError):
        run("undo_onboarding", failed.undo_event)
    failed.end()
    ref = RequestRef("request-1", "request-1".ljust(64, "-"))
    registry().requests.record_outcome(ref, "outcome-1", "Request Failed", "{}")

    event = {"executionArn": failed.execution, "requestItem": None}
    with pytest.raises(NotYetEffective):  # DescribeExecution is eventually consistent
        run("read_execution", event)
    date_back(account, "journal", "notedAt", timedelta(days=91))
    ended = run("read_execution", event)

    assert (ended["answered"], ended["reported"], ended["unfinished"], ended["atRest"]) == (False, True, True, True)
    assert (ended["request"], ended["accessId"], ended["requestId"]) == (failed.request, ACCESS_ID, "request-1")
    undo = {"request": ended["request"], "tenant": ended["tenant"], "executionArn": failed.execution, "reported": True}
    run("undo_onboarding", undo | {"holder": "arn:aws:states:us-east-1:1:execution:end-request:x"})
    assert account.items("journal") == []
    assert enabled_keys(account) == []
