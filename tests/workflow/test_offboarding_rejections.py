"""Bad input of offboardings and restorations is rejected with its place, and nothing in the account changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from local_aws.tools.embedded_aws import until
from tests.workflow.account_state import read_without_requests
from tests.workflow.consumer_resources import CONSENT, CONSUMERS, adobe_detail
from tests.workflow.onboarding import MEMBER, Onboarding

OFFBOARDING, RESTORATION = "Offboarding Requested", "Restoration Requested"
# Prepares the account, and returns the access ID to ask for.
type Prepare = Callable[[Onboarding], str]


@pytest.fixture
def onboarding(fast_onboarding: Onboarding) -> Onboarding:
    return fast_onboarding


def unknown(_: Onboarding) -> str:
    return "mediatailor/sourceLocation/unknown"


def active(onboarding: Onboarding) -> str:
    return str(onboarding.onboard(onboarding.detail())["accessId"])


def offboarded(onboarding: Onboarding) -> str:
    access_id = active(onboarding)
    onboarding.offboard(access_id, recoveryDays=7)
    return access_id


def handed_off(onboarding: Onboarding) -> str:
    detail = onboarding.detail()
    detail["resource"]["configure"] = False
    return str(onboarding.hand_off(detail)["accessId"])


def of_adobe(onboarding: Onboarding) -> str:
    return str(onboarding.hand_off(adobe_detail())["accessId"])


def with_source(onboarding: Onboarding) -> str:
    """A location of Latchkey with a VOD source of somebody else."""
    access_id = active(onboarding)
    package = {"Path": "/film/index.m3u8", "SourceGroup": "hls", "Type": "HLS"}
    named = {"SourceLocationName": access_id.rsplit("/", 1)[1], "VodSourceName": "film"}
    onboarding.mediatailor.create_vod_source(**named, HttpPackageConfigurations=[package])
    return access_id


def owned(onboarding: Onboarding, tags: dict[str, str] = CONSENT) -> str:
    """A location of an owner."""
    detail = onboarding.detail()
    name, http = detail["resource"]["sourceLocation"], {"BaseUrl": detail["resource"]["baseUrl"]}
    onboarding.mediatailor.create_source_location(SourceLocationName=name, HttpConfiguration=http, Tags=tags)
    return str(onboarding.onboard(detail)["accessId"])


def of_consumer(onboarding: Onboarding) -> str:
    return str(onboarding.onboard(CONSUMERS["mediapackagev2"](onboarding.aws).detail)["accessId"])


def withdrawn_resource(onboarding: Onboarding) -> str:
    access_id = owned(onboarding)
    arn = onboarding.location(access_id.rsplit("/", 1)[1])["Arn"]
    onboarding.mediatailor.untag_resource(ResourceArn=arn, TagKeys=["latchkey:consent"])
    return access_id


def adopted(onboarding: Onboarding, withdraw: str) -> str:
    """An access with an adopted key and secret, of which the owner of one no longer consents."""
    key = onboarding.new_key()
    secret = onboarding.new_secret(json.dumps({MEMBER: "not-a-real-token-1234"}), KmsKeyId=key)
    members: dict[str, Any] = {"key": {"arn": key}, "secret": {"value": {"existing": {"secretArn": secret}}}}
    access_id = str(onboarding.onboard(onboarding.detail(**members))["accessId"])
    if withdraw == "key":
        onboarding.kms.untag_resource(KeyId=key, TagKeys=["latchkey:consent"])
    else:
        onboarding.secretsmanager.untag_resource(SecretId=secret, TagKeys=["latchkey:consent"])
    return access_id


def dying_key(onboarding: Onboarding) -> str:
    """An offboarded access whose key a person has scheduled for deletion."""
    made = onboarding.onboard(onboarding.detail())
    onboarding.offboard(made["accessId"], recoveryDays=7)
    onboarding.kms.schedule_key_deletion(KeyId=made["resources"]["keyArn"], PendingWindowInDays=7)
    return str(made["accessId"])


REJECTED: dict[str, tuple[str, Prepare, dict[str, Any], set[str]]] = {
    "offboarding of an unknown access": (OFFBOARDING, unknown, {}, {"accessId"}),
    "restoration of an unknown access": (RESTORATION, unknown, {}, {"accessId"}),
    "restoration of an active access": (RESTORATION, active, {}, {"accessId"}),
    "restoration of a handed-off access": (RESTORATION, handed_off, {}, {"accessId"}),
    "restoration with a key that a person deletes": (RESTORATION, dying_key, {}, {"accessId"}),
    "restoration with a member of offboardings": (RESTORATION, offboarded, {"recoveryDays": 7}, {"<name>"}),
    "a window of 6 days": (OFFBOARDING, active, {"recoveryDays": 6}, {"recoveryDays"}),
    "a window of 31 days": (OFFBOARDING, active, {"recoveryDays": 31}, {"recoveryDays"}),
    "a window as text": (OFFBOARDING, active, {"recoveryDays": "7"}, {"recoveryDays"}),
    "an unknown choice": (OFFBOARDING, active, {"resource": "destroy"}, {"resource"}),
    "an unknown member": (OFFBOARDING, active, {"force": True}, {"force"}),
    "delete of an owner's location": (OFFBOARDING, owned, {"resource": "delete"}, {"resource"}),
    "delete of an owner's endpoint": (OFFBOARDING, of_consumer, {"resource": "delete"}, {"resource"}),
    "delete of a location that contains a source": (OFFBOARDING, with_source, {"resource": "delete"}, {"resource"}),
    "detach of a resource that its owner configures": (OFFBOARDING, handed_off, {"resource": "detach"}, {"resource"}),
    "delete of a resource that its owner configures": (OFFBOARDING, handed_off, {"resource": "delete"}, {"resource"}),
    "a location whose owner withdrew consent": (OFFBOARDING, withdrawn_resource, {}, {"resource"}),
    "a key whose owner withdrew consent": (OFFBOARDING, lambda one: adopted(one, "key"), {}, {"key"}),
    "a secret whose owner withdrew consent": (OFFBOARDING, lambda one: adopted(one, "secret"), {}, {"secret"}),
    "an access for Adobe": (OFFBOARDING, of_adobe, {}, {"accessId"}),
}


@pytest.mark.parametrize(("kind", "prepare", "members", "places"), REJECTED.values(), ids=REJECTED)
def test_bad_input_is_rejected_and_changes_nothing(
    onboarding: Onboarding, kind: str, prepare: Prepare, members: dict[str, Any], places: set[str]
) -> None:
    access_id = prepare(onboarding)
    onboarding.settle()
    before = read_without_requests(onboarding.aws)

    event = onboarding.ask(kind, access_id, **members)

    assert event["detail-type"] == "Request Rejected", json.dumps(event["detail"], indent=2)
    assert event["detail"]["changed"] is False
    assert {error["place"] for error in event["detail"]["errors"]} == places
    assert all(error["rule"] for error in event["detail"]["errors"])
    onboarding.settle()
    assert read_without_requests(onboarding.aws) == before


@pytest.mark.parametrize("second", [OFFBOARDING, RESTORATION, "Onboarding Requested"])
def test_a_second_request_while_an_offboarding_runs_waits_in_vain_and_changes_nothing(
    onboarding: Onboarding, second: str
) -> None:
    detail = onboarding.detail()
    access_id = str(onboarding.onboard(detail)["accessId"])
    hold = {"service": "secretsmanager", "operation": "DeleteSecret", "error": "hold"}
    onboarding.aws.control("POST", "faults", hold)
    first = {"requestId": f"first-{detail['requestId']}", "accessId": access_id}
    onboarding.put(first, OFFBOARDING)
    until(lambda: onboarding.aws.control("GET", "faults"), "the offboarding at DeleteSecret", 60)
    before = read_without_requests(onboarding.aws)

    asked = {"requestId": f"second-{detail['requestId']}", "accessId": access_id}
    onboarding.put(detail | {"requestId": asked["requestId"]} if second == "Onboarding Requested" else asked, second)
    event = onboarding.outcomes.wait_for(asked["requestId"], 120)

    assert event["detail-type"] in ("Request Failed", "Request Rejected"), json.dumps(event["detail"], indent=2)
    assert event["detail"]["changed"] is False
    assert first["requestId"] in json.dumps(event["detail"]) or event["detail-type"] == "Request Rejected"
    assert read_without_requests(onboarding.aws) == before
    onboarding.aws.control("DELETE", "held")
    assert onboarding.outcomes.wait_for(first["requestId"], 120)["detail-type"] == "Access Offboarded"
