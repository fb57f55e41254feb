"""read_execution: the request of an execution, its progress, and whether its outcome was reported."""

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto.stepfunctions.models import StepFunctionBackend, stepfunctions_backends

from latchkey.errors import Conflict, InvalidRequest, NotYetEffective
from latchkey.onboarding.read_execution import REPORTED
from latchkey.registry import registry
from latchkey.registry.journal import RESOURCE
from latchkey.tags import DEFAULT_TENANT
from tests.functions.account import ACCOUNT, REGION, TABLE, Account
from tests.functions.onboarding_requests import EXECUTION, Run, onboarding

HASH = "c" * 64
INPUT = {"requestId": "request-1", "contentHash": HASH, "system": "mediatailor"}
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/one"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:latchkey/one-abcdef"


class Executions:
    """Executions as Step Functions describes them; moto cannot end one with a chosen error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def describe(self, status: str, execution_input: dict[str, Any], error: str | None = None) -> None:
        client: Any = boto3.client("stepfunctions", REGION)
        role = f"arn:aws:iam::{ACCOUNT}:role/machine"
        machine = client.create_state_machine(name="onboard-access", definition='{"States": {}}', roleArn=role)
        started = client.start_execution(
            stateMachineArn=machine["stateMachineArn"], name="one", input=json.dumps(execution_input)
        )
        backend: StepFunctionBackend = stepfunctions_backends[ACCOUNT][REGION]
        execution = backend.describe_execution(started["executionArn"])
        self._monkeypatch.setattr(execution, "status", status)
        self._monkeypatch.setattr(execution, "error", error, raising=False)
        assert started["executionArn"] == EXECUTION


@pytest.fixture
def executions(monkeypatch: pytest.MonkeyPatch) -> Executions:
    return Executions(monkeypatch)


def read(run: Run) -> dict[str, Any]:
    return run("read_execution", {"executionArn": EXECUTION})


def put(account: Account, kind: str, item_id: str, **members: Any) -> None:
    item = {"kind": {"S": kind}, "id": {"S": item_id}} | members
    account.dynamodb.put_item(TableName=TABLE, Item=item)


def test_the_request_of_an_execution_is_returned_as_it_was_sent(run: Run, executions: Executions) -> None:
    request = onboarding()
    access_id = "mediatailor/sourceLocation/sports-origin"
    executions.describe("ABORTED", INPUT | {"accessId": access_id, "request": request})

    ended = read(run)

    assert {name: ended[name] for name in INPUT} == INPUT
    assert (ended["accessId"], ended["request"]) == (access_id, request)
    assert (ended["hasRequest"], ended["accessRecorded"], ended["outcomeRecorded"]) == (True, False, False)
    assert ended["caught"]["Error"] == "ExecutionEnded"
    assert json.loads(ended["caught"]["Cause"]) == {"errorMessage": "the execution was aborted"}


@pytest.mark.parametrize("unknown", [{}, {"accessId": None, "request": None, "confirms": False}], ids=["missing", "null"])
def test_an_invalid_request_has_nothing_to_roll_back(run: Run, executions: Executions, unknown: dict[str, Any]) -> None:
    """Earlier versions omitted unknown members."""
    executions.describe("TIMED_OUT", INPUT | unknown | {"problems": [{"place": "a", "rule": "b"}]})

    ended = read(run)

    assert (ended["hasRequest"], ended["request"], ended["accessId"]) == (False, None, None)


@pytest.mark.parametrize(
    ("status", "error", "answered", "at_rest"),
    [
        ("FAILED", REPORTED, True, True),
        ("FAILED", "OutcomeNotReported", False, True),
        ("FAILED", "States.Runtime", False, True),
        ("FAILED", None, False, True),
        ("ABORTED", REPORTED, False, False),
        ("TIMED_OUT", None, False, False),
        ("RUNNING", None, True, False),
        ("SUCCEEDED", None, True, False),
    ],
)
def test_only_an_execution_that_ended_itself_reported_its_outcome(
    run: Run, executions: Executions, status: str, error: str | None, answered: bool, at_rest: bool
) -> None:
    executions.describe(status, INPUT, error)

    ended = read(run)

    assert (ended["answered"], ended["atRest"]) == (answered, at_rest)


def test_an_outcome_belongs_to_the_content_of_its_request(run: Run, executions: Executions, account: Account) -> None:
    executions.describe("ABORTED", INPUT)
    put(account, "request", "request-1", contentHash={"S": "d" * 64}, outcomeId={"S": "other"})
    assert read(run)["outcomeRecorded"] is False

    put(account, "request", f"request-1/{HASH[:16]}", contentHash={"S": HASH}, outcomeId={"S": "own"})
    assert read(run)["outcomeRecorded"] is True


def test_an_access_is_recorded_only_by_its_own_request(run: Run, executions: Executions, account: Account) -> None:
    access_id = "mediatailor/sourceLocation/sports-origin"
    executions.describe("ABORTED", INPUT | {"accessId": access_id, "request": onboarding()})
    members = {"system": "mediatailor", "status": "active", "keyArn": KEY, "secretArn": SECRET, "resourceArn": KEY}
    item = {name: {"S": value} for name, value in members.items()} | {"version": {"N": "1"}}

    put(account, "access", access_id, **item, requestId={"S": "request-0"})
    assert read(run)["accessRecorded"] is False

    put(account, "access", access_id, **item, requestId={"S": "request-1"})
    ended = read(run)
    assert (ended["accessRecorded"], ended["keyArn"], ended["secretArn"]) == (True, KEY, SECRET)


ITEM = {"contentHash": {"S": HASH}, "executionArn": {"S": EXECUTION}, "eventId": {"S": "event-1"}}


def test_a_request_that_was_never_started_ends_and_cannot_start_any_more(run: Run, account: Account) -> None:
    put(account, "request", "request-1", **ITEM)

    ended = run("read_execution", {"executionArn": EXECUTION, "requestItem": "request-1"})

    known = {name: ended[name] for name in ("requestId", "contentHash", "eventId", "tenant")}
    assert known == {"requestId": "request-1", "contentHash": HASH, "eventId": "event-1", "tenant": "default"}
    facts = ("answered", "unfinished", "atRest", "outcomeRecorded", "accessRecorded", "hasRequest")
    assert [ended[name] for name in facts] == [False, False, True, False, False, False]
    assert ended["caught"]["Error"] == "ExecutionEnded"
    assert "abandonedAt" in account.items("request")[0]
    event = INPUT | {"requestId": "request-1", "executionArn": EXECUTION, "request": onboarding()}
    with pytest.raises(InvalidRequest):
        run("check_request", event)
    assert account.items("access") == []


def test_a_request_that_starts_at_this_moment_is_not_ended(run: Run, account: Account) -> None:
    now = datetime.now(UTC).isoformat()
    put(account, "request", "request-1", claimedAt={"S": now}, **ITEM)

    with pytest.raises(NotYetEffective):
        run("read_execution", {"executionArn": EXECUTION, "requestItem": "request-1"})


def test_an_unknown_execution_without_a_request_is_an_error(run: Run) -> None:
    with pytest.raises(Conflict):
        read(run)


@pytest.mark.parametrize("from_former_version", [False, True])
@pytest.mark.parametrize(("outcome", "unfinished"), [("Request Failed", True), ("Access Onboarded", False)])
def test_a_request_with_an_unfinished_rollback_is_not_answered(
    run: Run, executions: Executions, account: Account, outcome: str, unfinished: bool, from_former_version: bool
) -> None:
    access_id = "mediatailor/sourceLocation/sports-origin"
    executions.describe("FAILED", INPUT | {"accessId": access_id, "request": onboarding()}, REPORTED)
    put(account, "request", "request-1", contentHash={"S": HASH}, outcomeId={"S": "own"}, outcomeType={"S": outcome})
    if from_former_version:
        put(account, "access", access_id, unfinished={"S": EXECUTION})
    else:
        registry().journal.of(EXECUTION, access_id, DEFAULT_TENANT).intend(RESOURCE, None)

    ended = read(run)

    assert (ended["answered"], ended["reported"], ended["unfinished"], ended["atRest"]) == (
        not unfinished,
        True,
        unfinished,
        True,
    )
