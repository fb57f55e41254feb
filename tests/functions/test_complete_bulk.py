"""complete_bulk: one result for each line of the manifest, in its order."""

import json
from typing import Any

import pytest

from latchkey.errors import ExecutionEnded
from tests.functions.account import Account
from tests.functions.data_bucket import BUCKET, FOLDER, DataBucket
from tests.functions.onboarding_requests import Run


@pytest.fixture
def bucket(account: Account) -> DataBucket:
    return DataBucket()


def event(bucket: DataBucket, results: list[dict[str, Any]], lines: int) -> dict[str, Any]:
    """The input after a Map that had these results, which are in two files."""
    requests = [{"line": n, "content": {"requestId": f"request-{n}", "contentHash": "c" * 64}} for n in range(1, lines + 1)]
    version = bucket.put(f"{FOLDER}requests.jsonl", "".join(f"{json.dumps(each)}\n" for each in requests))
    halves = (results[:1], results[1:])
    files = []
    for number, half in enumerate(halves):
        key = f"{FOLDER}map/1/SUCCEEDED_{number}.jsonl"
        files.append({"Key": key, "Size": 1})
        bucket.put(key, "".join(f"{json.dumps(each)}\n" for each in half))
    bucket.put(f"{FOLDER}map/1/manifest.json", json.dumps({"ResultFiles": {"SUCCEEDED": files, "FAILED": [], "PENDING": []}}))
    stored = {"bucket": BUCKET, "key": f"{FOLDER}requests.jsonl", "versionId": version}
    manifest = {"manifest": {"bucket": BUCKET, "key": "manifests/a.jsonl"}, "mode": "apply", "folder": FOLDER}
    return {
        "manifest": manifest | {"requests": stored, "lines": lines},
        "results": {"bucket": BUCKET, "key": f"{FOLDER}map/1/manifest.json"},
    }


def result(line: int, outcome: str = "Access Onboarded", *, changed: bool = True) -> dict[str, Any]:
    return {"line": line, "requestId": f"request-{line}", "outcome": outcome, "status": "active", "changed": changed}


def test_the_results_are_stored_in_the_order_of_the_lines(run: Run, bucket: DataBucket) -> None:
    results = [result(3), result(1, "Request Rejected", changed=False), result(2)]

    completed = run("complete_bulk", event(bucket, results, 3))["result"]

    stored = bucket.lines(f"{FOLDER}results.jsonl")
    assert [line["line"] for line in stored] == [1, 2, 3]
    assert completed["outcomes"] == {"Access Onboarded": 2, "Request Rejected": 1}
    assert (completed["lines"], completed["changed"], completed["status"]) == (3, True, "completed")
    assert completed["results"]["key"] == f"{FOLDER}results.jsonl"
    assert completed["results"]["versionId"]


def test_nothing_has_changed_if_no_line_changed_anything(run: Run, bucket: DataBucket) -> None:
    completed = run("complete_bulk", event(bucket, [result(1, changed=False)], 1))["result"]

    assert completed["changed"] is False


def test_a_line_without_an_outcome_is_waited_for(run: Run, bucket: DataBucket) -> None:
    with pytest.raises(ExecutionEnded, match="1 of 2"):
        run("complete_bulk", event(bucket, [result(1)], 2))

    assert [line.get("outcome") for line in bucket.lines(f"{FOLDER}results.jsonl")] == ["Access Onboarded", None]
