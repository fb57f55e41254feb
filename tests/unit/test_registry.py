"""The registry: every write on a condition, one outcome for each request, leases that end."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey.errors import Conflict, TransientAwsError
from latchkey.registry import LEASE_SECONDS, AccessRecord, Registry
from tests.unit.samples import EXECUTION_ARN, KEY_ARN, PLACE, SECRET_ARN

HASH, OTHER_HASH = "a" * 64, "b" * 64
RECORD = AccessRecord(
    access_id="mediatailor/sourceLocation/sports-origin",
    system="mediatailor",
    status="active",
    request_id="request-1",
    key_arn=KEY_ARN,
    secret_arn=SECRET_ARN,
    resource_arn=PLACE.arn("mediatailor", "sourceLocation/sports-origin"),
)


def item(kind: str, item_id: str) -> dict[str, Any]:
    """The item as it stands in the table of the fixture `registry`."""
    key = {"kind": kind, "id": item_id}
    found: dict[str, Any] = boto3.resource("dynamodb").Table("accesses").get_item(Key=key).get("Item", {})
    return found


def test_a_request_is_claimed_once_and_again_by_its_own_execution(registry: Registry) -> None:
    registry.claim_request("request-1", HASH, EXECUTION_ARN)
    registry.claim_request("request-1", HASH, EXECUTION_ARN)
    assert item("request", "request-1")["contentHash"] == HASH


@pytest.mark.parametrize(("content_hash", "execution"), [(OTHER_HASH, EXECUTION_ARN), (HASH, f"{EXECUTION_ARN}-2")])
def test_an_id_that_stands_for_another_request_is_a_conflict(registry: Registry, content_hash: str, execution: str) -> None:
    registry.claim_request("request-1", HASH, EXECUTION_ARN)
    with pytest.raises(Conflict, match="has been used for another request"):
        registry.claim_request("request-1", content_hash, execution)
    assert item("request", "request-1")["executionArn"] == EXECUTION_ARN


def test_an_outcome_is_recorded_once(registry: Registry) -> None:
    registry.claim_request("request-1", HASH, EXECUTION_ARN)
    first = registry.record_outcome("request-1", HASH, "o-1", "Access Onboarded", '{"first": true}')
    second = registry.record_outcome("request-1", HASH, "o-2", "Request Failed", "{}")
    assert first == second == ("Access Onboarded", '{"first": true}')
    assert item("request", "request-1")["outcomeId"] == "o-1"
    assert item("request", "request-1")["executionArn"] == EXECUTION_ARN


def test_a_request_that_was_never_claimed_has_an_outcome_too(registry: Registry) -> None:
    assert registry.record_outcome("request-1", HASH, "o-1", "Request Failed", "{}") == ("Request Failed", "{}")
    assert item("request", "request-1")["contentHash"] == HASH


def test_another_request_under_a_used_id_has_an_outcome_of_its_own(registry: Registry) -> None:
    registry.claim_request("request-1", HASH, EXECUTION_ARN)
    for _ in range(2):
        told = registry.record_outcome("request-1", OTHER_HASH, "o-2", "Request Rejected", '{"a": 1}')
        assert told == ("Request Rejected", '{"a": 1}')
    assert registry.record_outcome("request-1", HASH, "o-1", "Access Onboarded", "{}") == ("Access Onboarded", "{}")
    assert item("request", "request-1")["outcomeId"] == "o-1"


def test_outcomes_of_two_requests_are_never_mixed_up(registry: Registry) -> None:
    for content in (HASH, "b" * 64, "b" * 16 + "c" * 48):
        if content.endswith("c"):
            with pytest.raises(Conflict, match="share an id"):
                registry.record_outcome("request-1", content, "o-3", "Request Failed", "{}")
        else:
            registry.record_outcome("request-1", content, content[0], "Request Rejected", "{}")
    assert item("request", f"request-1/{'b' * 16}")["outcomeId"] == "b"


def test_an_access_is_read_as_it_was_saved(registry: Registry) -> None:
    assert registry.access(RECORD.access_id) is None
    saved = registry.save_access(RECORD)
    assert saved == replace(RECORD, version=1)
    assert registry.access(RECORD.access_id) == saved


def test_a_saved_access_counts_its_versions(registry: Registry) -> None:
    saved = registry.save_access(registry.save_access(RECORD))
    assert (saved.version, registry.access(RECORD.access_id)) == (2, saved)


def test_an_access_written_meanwhile_is_not_overwritten(registry: Registry) -> None:
    first = registry.save_access(RECORD)
    second = registry.save_access(replace(first, status="failed"))
    with pytest.raises(TransientAwsError, match="written by somebody else"):
        registry.save_access(replace(first, status="active"))
    with pytest.raises(TransientAwsError, match="written by somebody else"):
        registry.save_access(RECORD)
    assert registry.access(RECORD.access_id) == second


def test_a_key_and_a_secret_know_the_accesses_they_serve(registry: Registry) -> None:
    other = replace(RECORD, access_id="mediatailor/sourceLocation/news-origin", secret_arn=f"{SECRET_ARN}2")
    for record in (RECORD, other):
        registry.save_access(record)
    assert item("resource", KEY_ARN)["accesses"] == {RECORD.access_id, other.access_id}
    assert item("resource", SECRET_ARN)["accesses"] == {RECORD.access_id}


def test_a_secret_knows_the_hosts_that_its_token_goes_to(registry: Registry) -> None:
    assert registry.origin_hosts("latchkey/a") == frozenset()
    for host in ("origin.example.com", "origin.example.com", "backup.example.com"):
        registry.add_origin_host("latchkey/a", host)
    assert registry.origin_hosts("latchkey/a") == {"origin.example.com", "backup.example.com"}
    assert registry.origin_hosts("latchkey/b") == frozenset()


def test_a_lease_is_held_alone_and_given_back(registry: Registry) -> None:
    with registry.lease("alias a"), registry.lease("alias b"):
        with pytest.raises(TransientAwsError, match="another request is working on alias a"), registry.lease("alias a"):
            raise AssertionError("two hold the lease")
        assert item("lease", "alias a")
    assert item("lease", "alias a") == {}
    with registry.lease("alias a"):
        assert item("lease", "alias a")


def test_a_lease_is_given_back_when_the_work_fails(registry: Registry) -> None:
    with pytest.raises(Conflict), registry.lease("alias a"):
        raise Conflict("of the work")
    assert item("lease", "alias a") == {}


def test_a_lease_outlives_every_function_that_may_hold_one(registry: Registry) -> None:
    with registry.lease("alias a"):
        assert item("lease", "alias a")["expiresAt"] >= int(time.time()) + LEASE_SECONDS - 2


def test_a_lease_left_by_a_crash_ends_by_time(registry: Registry) -> None:
    table = boto3.resource("dynamodb").Table("accesses")
    lost: dict[str, str | int] = {"kind": "lease", "id": "alias a", "holder": "lost", "expiresAt": int(time.time()) - 1}
    table.put_item(Item=lost)
    with registry.lease("alias a"):
        assert item("lease", "alias a")["holder"] != "lost"
    table.put_item(Item=lost | {"expiresAt": int(time.time()) + 60})
    with pytest.raises(TransientAwsError), registry.lease("alias a"):
        raise AssertionError("two hold the lease")


def test_a_late_holder_does_not_give_back_the_lease_of_the_next(registry: Registry) -> None:
    table = boto3.resource("dynamodb").Table("accesses")
    with registry.lease("alias a"):
        table.put_item(Item={"kind": "lease", "id": "alias a", "holder": "next", "expiresAt": int(time.time()) + 60})
    assert item("lease", "alias a")["holder"] == "next"


@pytest.mark.parametrize("operation", ["put_item", "delete_item"])
def test_other_answers_of_the_table_are_not_taken_for_a_condition(operation: str) -> None:
    dynamodb = boto3.client("dynamodb")
    with Stubber(dynamodb) as stubber:
        if operation == "delete_item":
            stubber.add_response("put_item", {})
        stubber.add_client_error(operation, "ThrottlingException")
        with pytest.raises(ClientError, match="ThrottlingException"), Registry(dynamodb, "accesses").lease("alias a"):
            pass
