"""check_manifest: the whole manifest before the first request, and one execution input for each line."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from latchkey.aws import clients
from latchkey.errors import InvalidRequest
from latchkey.registry import registry
from latchkey.registry.requests import RequestRef
from tests.functions.account import Account
from tests.functions.data_bucket import BUCKET, EXECUTION, FOLDER, DataBucket
from tests.functions.onboarding_requests import Run, onboarding

KEY = "manifests/channels.jsonl"


@pytest.fixture
def bucket(account: Account) -> DataBucket:
    return DataBucket()


def event(**members: Any) -> dict[str, Any]:
    asked = {"requestId": "bulk-1", "manifest": {"key": KEY}} | members
    known = {"requestId": "bulk-1", "contentHash": "c" * 64, "eventId": "event-1", "executionArn": EXECUTION}
    return known | {"kind": "Bulk Onboarding Requested", "asked": asked}


def places(run: Run, sent: dict[str, Any]) -> set[str]:
    with pytest.raises(InvalidRequest) as caught:
        run("check_manifest", sent)
    return {problem.path for problem in caught.value.problems}


def test_the_input_of_each_execution_is_stored(run: Run, bucket: DataBucket) -> None:
    version = bucket.put(KEY, f"{json.dumps(onboarding())}\n{{\n")

    checked = run("check_manifest", event())

    stored = bucket.lines(f"{FOLDER}requests.jsonl")
    assert checked["manifest"] == {"bucket": BUCKET, "key": KEY, "versionId": version}
    assert (checked["folder"], checked["lines"], checked["mode"]) == (FOLDER, 2, "apply")
    assert checked["requests"]["key"] == f"{FOLDER}requests.jsonl"
    assert [line["line"] for line in stored] == [1, 2]
    assert stored[0]["content"]["request"]["resource"] == onboarding()["resource"]
    assert [problem["place"] for problem in stored[1]["content"]["problems"]] == ["detail"]


def test_a_second_attempt_uses_what_the_first_one_stored(run: Run, bucket: DataBucket) -> None:
    bucket.put(KEY, json.dumps(onboarding()))
    first = run("check_manifest", event())
    bucket.put(KEY, "no longer a manifest")

    assert run("check_manifest", event()) == first
    assert bucket.versions(f"{FOLDER}requests.jsonl") == 1


def test_the_requested_version_is_read(run: Run, bucket: DataBucket) -> None:
    version = bucket.put(KEY, json.dumps(onboarding()))
    bucket.put(KEY, "{")

    checked = run("check_manifest", event(manifest={"key": KEY, "versionId": version}))

    assert checked["manifest"]["versionId"] == version


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        ({"key": "manifests/absent.jsonl"}, "manifest"),
        ({"key": KEY, "versionId": "absent"}, "manifest"),
        ({"key": "bulk/other/requests.jsonl"}, "manifest.key"),
        ({"key": "manifests/empty.jsonl"}, "manifest"),
    ],
)
def test_a_manifest_that_cannot_be_read_changes_nothing(
    run: Run, bucket: DataBucket, manifest: dict[str, Any], path: str
) -> None:
    bucket.put(KEY, json.dumps(onboarding()))
    bucket.put("manifests/empty.jsonl", "")

    assert places(run, event(manifest=manifest)) == {path}
    assert bucket.versions("bulk/") == 0


def test_a_manifest_that_is_too_large_is_not_read(run: Run, bucket: DataBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latchkey.bulk.check_manifest.MOST_BYTES", 10)
    bucket.put(KEY, json.dumps(onboarding()))

    assert places(run, event()) == {"manifest"}


def test_a_request_that_has_ended_is_not_carried_out_again(run: Run, bucket: DataBucket) -> None:
    bucket.put(KEY, json.dumps(onboarding()))
    registry().requests.record_outcome(RequestRef("bulk-1", "c" * 64), "outcome", "Request Failed", "{}")

    assert places(run, event()) == {"requestId"}


def test_the_problems_of_the_request_are_reported(run: Run, bucket: DataBucket) -> None:
    problems = [{"place": "requestId", "rule": "was already used"}]

    assert places(run, event() | {"asked": None, "problems": problems}) == {"requestId"}


@pytest.mark.parametrize("code", ["AccessDenied", "KMS.DisabledException"])
def test_a_manifest_under_a_key_of_its_owner_is_rejected(
    run: Run, bucket: DataBucket, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    bucket.put(KEY, json.dumps(onboarding()))
    s3 = clients.s3()
    find = s3.get_object

    def denied(**asked: Any) -> Any:
        """S3 denies an object under a KMS key that the role cannot use; moto has no such key."""
        if asked["Key"] != KEY:
            return find(**asked)
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject")

    monkeypatch.setattr(s3, "get_object", denied)
    monkeypatch.setattr(clients, "s3", lambda: s3)

    assert places(run, event()) == {"manifest"}
