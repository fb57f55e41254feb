"""Bulk requests through the deployed stack: manifests, one outcome for each line, and one file of results."""

import json
import uuid
from collections import Counter
from typing import Any

import pytest

from local_aws.tools.embedded_aws import until
from tests.workflow.bulk_requests import COMPLETED, Bulk
from tests.workflow.onboarding import Onboarding


@pytest.fixture
def bulk(fast_onboarding: Onboarding) -> Bulk:
    return Bulk(fast_onboarding)


@pytest.fixture
def shared_key(fast_onboarding: Onboarding) -> dict[str, Any]:
    return {"alias": f"alias/latchkey/bulk-{uuid.uuid4().hex[:8]}"}


def test_good_lines_are_onboarded_and_bad_ones_are_explained(bulk: Bulk, shared_key: dict[str, Any]) -> None:
    detail = bulk.onboarding.detail
    good = [detail(key=shared_key) for _ in range(3)]
    no_header = detail(key=shared_key)
    del no_header["resource"]["header"]
    token = "not-a-real-token-but-looks-like-one"
    with_token = detail(key=shared_key, secret={"value": token})
    again = detail(key=shared_key, requestId=good[0]["requestId"])
    same_location = detail(good[1]["resource"]["sourceLocation"], key=shared_key)
    unnamed = detail(key=shared_key, requestId=None)
    bulk.store_lines(*good, no_header, "{", with_token, again, same_location, "", unnamed)

    completed = bulk.complete()

    results = bulk.results(completed)
    assert [result["line"] for result in results] == [1, 2, 3, 4, 5, 6, 7, 8, 10]
    rejected = {result["line"]: {error["place"] for error in result["errors"]} for result in results if result.get("errors")}
    assert rejected == {
        4: {"resource.header"},
        5: {"detail"},
        6: {"secret.value"},
        7: {"requestId"},
        8: {"resource"},
    }
    onboarded = [result for result in results if result["outcome"] == "Access Onboarded"]
    assert [result["requestId"] for result in onboarded[:3]] == [each["requestId"] for each in good]
    assert onboarded[3]["requestId"] == f"{completed['requestId']}.10"
    assert completed["outcomes"] == {"Access Onboarded": 4, "Request Rejected": 5}
    assert (completed["lines"], completed["status"], completed["changed"]) == (9, "completed", True)
    assert "accessId" not in completed
    for result in results:
        event = bulk.onboarding.outcomes.wait_for(result["requestId"], 30)
        assert event["detail-type"] == result["outcome"], "each line has one outcome event"
    assert token not in bulk.everything_stored()


def test_lines_of_csv_are_requests(bulk: Bulk, shared_key: dict[str, Any]) -> None:
    sample = bulk.onboarding.detail()
    names = [f"csv-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    resource = "resource.secretKey,resource.sourceLocation,resource.baseUrl,resource.header"
    header = f"system,{resource},key.alias,secret.value.generate.length,tags.cost.center"
    rows = [
        f"mediatailor,{sample['resource']['secretKey']},{name},{bulk.onboarding.aws.origin_url}/{name},{sample['resource']['header']},{shared_key['alias']},40,5"
        for name in names
    ]
    # As Excel stores it: with a byte order mark, and line ends of Windows.
    bulk.store("\ufeff" + "\r\n".join([header, *rows, ""]), "manifests/channels.csv")

    completed = bulk.complete(manifest={"key": "manifests/channels.csv"})

    assert completed["outcomes"] == {"Access Onboarded": 2}, bulk.results(completed)
    assert [result["line"] for result in bulk.results(completed)] == [2, 3]


def test_planned_manifest_changes_nothing_and_can_be_applied(bulk: Bulk, shared_key: dict[str, Any]) -> None:
    details = [bulk.onboarding.detail(key=shared_key) for _ in range(2)]
    bulk.store_lines(*details)
    before = bulk.onboarding.account_snapshot()

    planned = bulk.complete(mode="plan")

    assert (planned["outcomes"], planned["changed"]) == ({"Access Planned": 2}, False)
    assert all(result["planHash"] for result in bulk.results(planned))
    assert bulk.onboarding.account_snapshot() == before
    assert bulk.complete()["outcomes"] == {"Access Onboarded": 2}


def test_manifest_that_cannot_be_read_is_rejected_whole(bulk: Bulk) -> None:
    assert set(bulk.rejected(manifest={"key": "manifests/absent.jsonl"})) == {"manifest"}
    bulk.store("\n\n")
    assert set(bulk.rejected()) == {"manifest"}
    assert set(bulk.rejected(manifest={"key": "bulk/other.jsonl"})) == {"manifest.key"}
    assert set(bulk.rejected(manifest={"key": "manifests/channels.jsonl", "versionId": "absent"})) == {"manifest"}
    assert set(bulk.rejected(manifest="manifests/channels.jsonl", colour="red")) == {"manifest", "colour"}
    assert bulk.everything_stored() == ""


def test_version_of_a_manifest_can_be_chosen(bulk: Bulk, shared_key: dict[str, Any]) -> None:
    first = bulk.onboarding.detail(key=shared_key)
    version = bulk.store(json.dumps(first))
    bulk.store("{")

    completed = bulk.complete(manifest={"key": "manifests/channels.jsonl", "versionId": version})

    assert completed["outcomes"] == {"Access Onboarded": 1}
    assert completed["manifest"]["versionId"] == version


def test_request_of_a_line_is_that_of_its_event(bulk: Bulk, shared_key: dict[str, Any]) -> None:
    detail = bulk.onboarding.detail(key=shared_key)
    sent = bulk.onboarding.onboard(detail)
    bulk.store_lines(detail)

    [result] = bulk.results(bulk.complete())

    assert (result["requestId"], result["status"]) == (sent["requestId"], "active")
    assert len(bulk.onboarding.executions("Onboard")) == 1, "the request was not carried out again"


def test_stopped_request_is_carried_on(bulk: Bulk, shared_key: dict[str, Any]) -> None:
    details = [bulk.onboarding.detail(key=shared_key) for _ in range(8)]
    bulk.store_lines(*details)
    request_id = bulk.put()
    until(lambda: bulk.onboarding.executions("Onboard", statusFilter="SUCCEEDED"), "the first access", 120)
    [running] = bulk.onboarding.executions("Bulk", statusFilter="RUNNING")
    bulk.onboarding.aws.client("stepfunctions").stop_execution(executionArn=running["executionArn"])

    event = bulk.outcome(request_id)

    assert event["detail-type"] == COMPLETED, event["detail"]
    assert event["detail"]["outcomes"] == {"Access Onboarded": 8}
    started = Counter(execution["name"] for execution in bulk.onboarding.executions("Onboard"))
    assert set(started.values()) == {1}
    assert len(started) == 8, "no request was carried out twice"
    assert {execution["status"] for execution in bulk.onboarding.executions("Bulk")} == {"ABORTED", "SUCCEEDED"}
