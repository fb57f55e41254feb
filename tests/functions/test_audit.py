"""The functions of audit records: changes of the registry are appended to chains, and chains are exported and verified."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.audit.chain import heads_of
from latchkey.errors import InvalidRequest
from latchkey.registry import registry
from latchkey.registry.journal import KEY
from latchkey_cli.exported_audit import problems_in
from tests import dynamodb
from tests.functions.account import AUDIT_TABLE, DATA_BUCKET, TABLE, Account, client
from tests.functions.onboarding_requests import EXECUTION, Run

ACCESS, OTHER = "mediatailor/sourceLocation/sports-origin", "mediatailor/sourceLocation/film-origin"

type Deliver = Callable[[], int]


@pytest.fixture
def deliver(account: Account, run: Run) -> Deliver:
    """Invokes append_audit_records with everything that has changed, and returns how many records it appended."""
    dynamodb.create_only_table(TABLE, streams=True)
    dynamodb.create_audit_table(AUDIT_TABLE)
    client("s3").create_bucket(Bucket=DATA_BUCKET)
    return lambda: int(run("append_audit_records", {"Records": dynamodb.stream_of(TABLE)})["appended"])


def intend(access_id: str, step: str = KEY) -> None:
    registry().journal.of(f"{EXECUTION}-{access_id.rpartition('/')[2]}", access_id, "default").intend(
        step, {"alias": "alias/a"}
    )


def written(key: str) -> bytes:
    content: bytes = client("s3").get_object(Bucket=DATA_BUCKET, Key=key)["Body"].read()
    return content


def tamper(access_id: str, number: int, **changes: Any) -> None:
    """Replaces a record, or deletes it without changes."""
    items = dynamodb.client().scan(TableName=AUDIT_TABLE)["Items"]
    [item] = [
        one
        for one in items
        if one["accessId"]["S"] == access_id and one["number"]["N"] == str(number) and one["id"]["S"] != "head"
    ]
    key = {name: item[name] for name in ("accessId", "id")}
    dynamodb.client().delete_item(TableName=AUDIT_TABLE, Key=key)
    if changes:
        dynamodb.client().put_item(TableName=AUDIT_TABLE, Item=item | {name: {"S": text} for name, text in changes.items()})


def test_an_export_contains_every_record_and_every_head(deliver: Deliver, run: Run) -> None:
    intend(ACCESS)
    intend(OTHER)
    assert (deliver(), deliver()) == (2, 0)

    exported = run("export_audit", {"accessId": None})

    assert (exported["accesses"], exported["records"], exported["problems"]) == (2, 4, [])
    lines, heads = written(exported["key"]).decode().splitlines(), heads_of(written(exported["headsKey"]))
    assert [json.loads(line)["resources"][0]["name"] for line in lines] == [OTHER, OTHER, ACCESS, ACCESS]
    assert heads.keys() == {ACCESS, OTHER}
    assert problems_in(lines, heads, heads) == []


def test_the_chain_of_one_access_is_exported(deliver: Deliver, run: Run) -> None:
    intend(ACCESS)
    intend(OTHER)
    deliver()

    assert run("export_audit", {"accessId": ACCESS})["records"] == 2
    with pytest.raises(InvalidRequest):
        run("export_audit", {"accessId": "mediatailor/sourceLocation/unknown"})


def test_a_verification_writes_nothing(deliver: Deliver, run: Run) -> None:
    intend(ACCESS)
    deliver()

    verified = run("export_audit", {"accessId": None, "verify": True})

    assert (verified["key"], verified["records"], verified["problemCount"]) == (None, 2, 0)
    assert "Contents" not in client("s3").list_objects_v2(Bucket=DATA_BUCKET)


@pytest.mark.parametrize("changes", [{}, {"record": "{}"}, {"record": "no JSON"}, {"hash": "0" * 64}], ids=str)
def test_a_record_that_was_changed_or_removed_is_found_and_the_rest_is_exported(
    deliver: Deliver, run: Run, changes: dict[str, Any]
) -> None:
    intend(ACCESS)
    intend(OTHER)
    deliver()
    tamper(ACCESS, 2, **changes)

    exported = run("export_audit", {"accessId": None})

    assert exported["problemCount"] >= 1
    assert {one["accessId"] for one in exported["problems"]} == {ACCESS}
    assert len(written(exported["key"]).decode().splitlines()) == (4 if changes else 3)


def test_a_history_that_was_written_again_is_found_by_an_earlier_export(deliver: Deliver, run: Run) -> None:
    intend(ACCESS)
    intend(OTHER)
    deliver()
    earlier = run("export_audit", {"accessId": None})["headsKey"]
    assert run("export_audit", {"accessId": None, "earlier": earlier})["problems"] == []

    for item in dynamodb.client().scan(TableName=AUDIT_TABLE)["Items"]:
        dynamodb.client().delete_item(TableName=AUDIT_TABLE, Key={name: item[name] for name in ("accessId", "id")})
    intend(ACCESS, "22-other")
    run("append_audit_records", {"Records": dynamodb.stream_of(TABLE)[-1:]})

    again = run("export_audit", {"accessId": None, "earlier": earlier, "verify": True})
    assert {one["accessId"] for one in again["problems"]} == {ACCESS, OTHER}


@pytest.mark.parametrize("earlier", ["audit/unknown.heads.json"])
def test_an_earlier_export_that_does_not_exist_is_rejected(deliver: Deliver, run: Run, earlier: str) -> None:
    with pytest.raises(InvalidRequest):
        run("export_audit", {"accessId": None, "earlier": earlier})


def test_a_bucket_that_cannot_be_read_is_an_error(run: Run, account: Account) -> None:
    with pytest.raises(Exception, match="NoSuchBucket"):
        run("export_audit", {"accessId": None, "earlier": "audit/some.heads.json"})
