"""identify_accesses: one execution for each event and affected access, and invalid messages among valid ones."""

import io
import json
from typing import Any

import pytest

from latchkey.registry import Registry
from latchkey.registry.table import Table
from tests import dynamodb
from tests.contract.artifacts import ROOT
from tests.functions.account import ACCOUNT, OWN_ROLES, TABLE, Account
from tests.functions.onboarding_requests import EXECUTION, NAME, SECRET_NAME, Run
from tests.functions.state_machine import StateMachine

SPORTS, NEWS = (f"mediatailor/sourceLocation/{name}" for name in (NAME, "news-origin"))
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def machine(account: Account) -> StateMachine:
    return StateMachine("clean-up-grants")


@pytest.fixture
def registry(account: Account) -> Registry:
    """Two accesses that share a key; the secret is of the first."""
    made = Registry(Table(account.dynamodb, TABLE))
    for access in (SPORTS, NEWS):
        made.locks.lock(access, EXECUTION)
        made.resources.refer(KEY, access)
    made.resources.refer(f"secret {SECRET_NAME}", SPORTS)
    return made


def trail(sample: str, **members: Any) -> dict[str, Any]:
    """A sample event of this account; `members` replace members of its record."""
    text = (ROOT / f"events/trail/{sample}.json").read_text().replace("0" * 12, ACCOUNT)
    event: dict[str, Any] = json.loads(text)
    return event | {"detail": event["detail"] | members}


def batch(*events: Any) -> dict[str, Any]:
    """A batch of messages m-0, m-1, …; a string is used as the body."""
    bodies = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return {"Records": [{"messageId": f"m-{at}", "body": body, "eventSource": "aws:sqs"} for at, body in enumerate(bodies)]}


def failed(result: dict[str, Any]) -> list[str]:
    return [item["itemIdentifier"] for item in result["batchItemFailures"]]


def started(machine: StateMachine) -> list[str]:
    return sorted(content["accessId"] for content in machine().values())


@pytest.mark.parametrize(
    ("sample", "accesses"),
    [
        ("mediatailor-delete-source-location", [SPORTS]),
        ("mediatailor-update-source-location-camel", [SPORTS]),
        ("secretsmanager-delete-resource-policy", [SPORTS]),
        ("secretsmanager-start-secret-version-delete", [SPORTS]),
        ("kms-disable-key", [NEWS, SPORTS]),
        ("kms-delete-key", [NEWS, SPORTS]),
    ],
)
def test_every_affected_access_is_cleaned_up_once(
    run: Run, registry: Registry, machine: StateMachine, sample: str, accesses: list[str]
) -> None:
    first = run("identify_accesses", batch(trail(sample)))
    before = machine()

    assert failed(first) == []
    assert started(machine) == accesses
    assert run("identify_accesses", batch(trail(sample), trail(sample))) == first
    assert machine() == before


def test_the_input_of_an_execution_is_the_access_and_the_event(run: Run, registry: Registry, machine: StateMachine) -> None:
    event = trail("mediatailor-update-source-location")
    run("identify_accesses", batch(event))

    [(name, content)] = machine().items()
    record = event["detail"]
    hint = {"eventId": record["eventID"], "eventName": "UpdateSourceLocation", "eventTime": record["eventTime"]}
    hint |= {"principal": record["userIdentity"]["arn"]}
    assert content == {"accessId": SPORTS, "keys": [], "hint": hint, "leaves": False, "deletesKey": False}
    assert len(name) <= 80


def test_a_redelivered_event_starts_nothing(run: Run, registry: Registry, machine: StateMachine) -> None:
    event = trail("mediatailor-delete-source-location")
    run("identify_accesses", batch(event))
    machine.end()

    assert failed(run("identify_accesses", batch(event))) == []
    assert started(machine) == [SPORTS]


def test_two_events_about_one_access_are_two_clean_ups(run: Run, registry: Registry, machine: StateMachine) -> None:
    event = trail("mediatailor-delete-source-location")
    run("identify_accesses", batch(event, trail("mediatailor-delete-source-location", eventID="another")))

    assert started(machine) == [SPORTS, SPORTS]


@pytest.mark.parametrize(
    "event",
    [
        trail("mediatailor-delete-source-location", requestParameters={"SourceLocationName": f"{NAME}-2"}),
        trail("mediatailor-delete-source-location", requestParameters={"SourceLocationName": NAME[:-1]}),
        trail("secretsmanager-delete-secret", responseElements=None, requestParameters={"secretId": "another"}),
        trail("kms-disable-key", resources=[{"ARN": f"{KEY[:-1]}0"}]),
        trail("kms-disable-key", errorCode="AccessDenied"),
        trail("kms-put-key-policy", userIdentity={"sessionContext": {"sessionIssuer": {"arn": OWN_ROLES.split(",")[0]}}}),
    ],
    ids=["a longer name", "a shorter name", "another secret", "another key", "a failed call", "our own"],
)
def test_an_event_that_affects_no_access_starts_nothing(
    run: Run, registry: Registry, machine: StateMachine, event: dict[str, Any]
) -> None:
    assert failed(run("identify_accesses", batch(event))) == []
    assert machine() == {}


def test_a_forgotten_access_starts_nothing(run: Run, registry: Registry, machine: StateMachine) -> None:
    registry.locks.unlock(SPORTS, EXECUTION)

    run("identify_accesses", batch(trail("mediatailor-delete-source-location")))

    assert machine() == {}


@pytest.mark.parametrize("body", ["", "no JSON", "{", "[" * 100_000])
def test_only_an_unreadable_message_is_redelivered(
    run: Run, registry: Registry, machine: StateMachine, log: io.StringIO, body: str
) -> None:
    good = trail("mediatailor-delete-source-location")

    result = run("identify_accesses", batch(good, body, trail("kms-disable-key")))

    assert failed(result) == ["m-1"]
    assert started(machine) == [NEWS, SPORTS, SPORTS]
    assert '"message_id":"m-1"' in log.getvalue()


@pytest.mark.parametrize("body", ["null", "5", "[]", '"text"', "{}", '{"detail": {}}', '{"detail": "\\ud800"}'])
def test_a_message_that_is_not_a_trail_event_is_discarded(run: Run, machine: StateMachine, body: str) -> None:
    assert failed(run("identify_accesses", batch(body))) == []
    assert machine() == {}


def test_messages_whose_executions_cannot_start_are_redelivered(run: Run, registry: Registry) -> None:
    """The state machine is missing; an event that affects no access does not need it."""
    ours, theirs = trail("kms-disable-key"), trail("kms-disable-key", resources=[{"ARN": f"{KEY[:-1]}0"}])

    assert failed(run("identify_accesses", batch(ours, theirs, ours))) == ["m-0", "m-2"]


def test_messages_are_redelivered_while_the_registry_cannot_be_read(
    run: Run, registry: Registry, machine: StateMachine
) -> None:
    dynamodb.client().delete_table(TableName=TABLE)

    assert failed(run("identify_accesses", batch(trail("kms-disable-key")))) == ["m-0"]


def test_an_empty_batch_succeeds(run: Run) -> None:
    assert run("identify_accesses", {"Records": []}) == {"batchItemFailures": []}


def test_the_body_of_a_message_is_not_logged(run: Run, registry: Registry, machine: StateMachine, log: io.StringIO) -> None:
    run("identify_accesses", batch('{"canary', trail("kms-put-key-policy", requestParameters={"policy": "canary"})))

    assert "m-0" in log.getvalue()
    assert "canary" not in log.getvalue()
