"""Rotations and other requests for the same access or the same secret: one waits for the other, or is rejected."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local_aws.tools.embedded_aws import until
from tests.workflow.consumer_resources import CONSUMERS, ConsumerResource
from tests.workflow.onboarding import MEMBER, Onboarding
from tests.workflow.rotations import Rotations

pytestmark = pytest.mark.timeout(900)
Detail = dict[str, Any]


@pytest.fixture
def rotations(fast_onboarding: Onboarding) -> Rotations:
    return Rotations(fast_onboarding)


def _again(detail: Detail, **members: Any) -> Detail:
    return detail | {"requestId": f"again-{uuid.uuid4().hex[:12]}"} | members


def _moved(detail: Detail) -> Detail:
    return _again(detail, key={"alias": f"alias/latchkey/moved-{uuid.uuid4().hex[:8]}", "move": True})


def _shared(rotations: Rotations, value: Detail, **more: Any) -> Detail:
    """The members of requests for accesses that share a secret, whose owner consents to rotations."""
    key_arn = rotations.onboarding.new_key()
    secret_arn = rotations.onboarding.new_secret(json.dumps(value), KmsKeyId=key_arn)
    consent = [{"Key": "latchkey:rotation-consent", "Value": "rotate"}]
    rotations.secretsmanager.tag_resource(SecretId=secret_arn, Tags=consent)
    return {"key": {"arn": key_arn}, "secret": {"value": {"existing": {"secretArn": secret_arn}}}} | more


def _secret(members: Detail) -> str:
    return str(members["secret"]["value"]["existing"]["secretArn"])


@contextmanager
def _unchanged(rotations: Rotations, secret_arn: str) -> Iterator[None]:
    """Asserts that the block changes neither the labels of the secret nor anything else in the account."""
    before = (rotations.labels(secret_arn), rotations.value(secret_arn), rotations.onboarding.account_snapshot())
    yield
    assert (rotations.labels(secret_arn), rotations.value(secret_arn), rotations.onboarding.account_snapshot()) == before


def test_pending_rotation_rejects_every_other_request_for_its_access(rotations: Rotations) -> None:
    onboarding, detail = rotations.onboarding, rotations.onboarding.detail()
    made = onboarding.onboard(detail)
    access_id, secret_arn = made["accessId"], made["resources"]["secretArn"]
    pending = rotations.stage(access_id)

    with _unchanged(rotations, secret_arn):
        for kind in ("Rotation Requested", "Offboarding Requested", "Handoff Confirmed", "Restoration Requested"):
            problems = rotations.reject(access_id, kind)
            assert problems.keys() == {"accessId"}, kind
            assert "Rotation" in problems["accessId"], kind
        for request in (_again(detail), _moved(detail)):
            assert onboarding.reject(request).keys() == {"resource"}

    assert rotations.confirm(access_id)["token"]["versionId"] == pending["token"]["versionId"]
    onboarding.offboard(access_id)


def test_access_that_is_offboarded_has_no_token_to_rotate(rotations: Rotations) -> None:
    onboarding = rotations.onboarding
    made = onboarding.onboard(onboarding.detail())
    onboarding.offboard(made["accessId"])
    before = onboarding.account_snapshot()

    for kind in ("Rotation Requested", "Rotation Confirmed"):
        assert rotations.reject(made["accessId"], kind).keys() == {"accessId"}
    assert rotations.reject(made["accessId"], withdraw=True).keys() == {"accessId"}

    assert onboarding.account_snapshot() == before
    onboarding.restore(made["accessId"])
    rotations.stage(made["accessId"])


def test_handed_off_access_is_confirmed_before_it_is_rotated(rotations: Rotations) -> None:
    consumer = CONSUMERS["mediapackage-vod"](rotations.onboarding.aws)
    made = rotations.onboarding.hand_off(consumer.staged)

    with _unchanged(rotations, made["resources"]["secretArn"]):
        assert rotations.reject(made["accessId"]).keys() == {"accessId"}


@contextmanager
def _held(onboarding: Onboarding, service: str, operation: str, request_id: str) -> Iterator[None]:
    """Holds a call of a request during the block."""
    hold = {"service": service, "operation": operation, "request": request_id, "error": "hold"}
    onboarding.aws.control("POST", "faults", hold)
    yield
    onboarding.aws.control("DELETE", "faults")


def _await_held(onboarding: Onboarding) -> None:
    until(lambda: onboarding.aws.control("GET", "faults"), "the held call", 60)


def test_access_that_is_moving_is_not_rotated(rotations: Rotations) -> None:
    onboarding, detail = rotations.onboarding, rotations.onboarding.detail()
    made = onboarding.onboard(detail)
    move = _moved(detail)
    with _held(onboarding, "secretsmanager", "UpdateSecret", move["requestId"]):
        onboarding.put(move)
        _await_held(onboarding)
        assert rotations.reject(made["accessId"]).keys() == {"accessId"}

    assert onboarding.outcomes.wait_for(move["requestId"])["detail-type"] == "Access Onboarded"
    rotations.stage(made["accessId"])
    rotations.confirm(made["accessId"])


def test_access_that_is_being_offboarded_is_not_rotated(rotations: Rotations) -> None:
    onboarding = rotations.onboarding
    made = onboarding.onboard(onboarding.detail())
    request_id = f"offboard-{uuid.uuid4().hex[:12]}"
    with _held(onboarding, "secretsmanager", "DeleteSecret", request_id):
        onboarding.put({"requestId": request_id, "accessId": made["accessId"]}, "Offboarding Requested")
        _await_held(onboarding)
        assert rotations.reject(made["accessId"]).keys() == {"accessId"}

    assert onboarding.outcomes.wait_for(request_id)["detail-type"] == "Access Offboarded"
    assert "AWSPENDING" not in rotations.labels(made["resources"]["secretArn"])


def test_companions_wait_or_are_rejected_while_their_secret_rotates(rotations: Rotations) -> None:
    onboarding = rotations.onboarding
    members = _shared(rotations, {MEMBER: "present-token"})
    first, second, third = (onboarding.detail(**members) for _ in range(3))
    rotating, companion = onboarding.onboard(first)["accessId"], onboarding.onboard(second)["accessId"]
    pending = rotations.stage(rotating)

    with _unchanged(rotations, _secret(members)):
        for request in (_again(second), third):
            problems = onboarding.reject(request)
            assert problems.keys() == {"resource"}
            assert rotating in problems["resource"]
        assert onboarding.reject(_moved(second)).keys() >= {"resource"}
        assert rotations.reject(companion).keys() == {"accessId"}
        assert rotations.reject(companion, "Rotation Confirmed").keys() == {"accessId"}
    onboarding.offboard(companion)
    confirmed = rotations.confirm(rotating)

    assert confirmed["token"]["versionId"] == pending["token"]["versionId"]
    assert rotations.labels(_secret(members))["AWSCURRENT"] == pending["token"]["versionId"]
    onboarding.restore(companion)
    assert [onboarding.onboard(_again(one))["status"] for one in (first, second)] == ["unchanged", "unchanged"]
    onboarding.onboard(_again(third))


def _packages(rotations: Rotations) -> tuple[list[ConsumerResource], Detail]:
    members = _shared(rotations, {"MediaPackageCDNIdentifier": "present-token"})
    return [CONSUMERS[name](rotations.onboarding.aws) for name in ("mediapackage", "mediapackage-vod")], members


def test_rotations_of_two_accesses_of_a_secret_at_once_are_not_interleaved(rotations: Rotations) -> None:
    consumers, members = _packages(rotations)
    ids = [rotations.onboarding.onboard(consumer.detail | members)["accessId"] for consumer in consumers]
    former = rotations.labels(_secret(members))["AWSCURRENT"]

    outcomes = [rotations.outcome(request_id) for request_id in [rotations.put(access_id) for access_id in ids]]

    versions = {one["detail"]["token"]["versionId"] for one in outcomes if one["detail-type"] == "Token Rotated"}
    assert {one["detail-type"] for one in outcomes} <= {"Token Rotated", "Request Rejected"}
    labels = rotations.labels(_secret(members))
    assert labels["AWSCURRENT"] in versions or not versions
    if len(versions) < 2:
        assert labels["AWSPREVIOUS" if versions else "AWSCURRENT"] == former
    for access_id in ids:
        rotations.rotate(access_id)


def test_offboarded_companion_no_longer_matters(rotations: Rotations) -> None:
    consumers, members = _packages(rotations)
    details = [consumer.detail | members for consumer in consumers]
    first, second = (rotations.onboarding.onboard(detail)["accessId"] for detail in details)
    rotations.onboarding.offboard(second)

    rotations.rotate(first)
    rotations.onboarding.restore(second)

    rotations.rotate(second)
    assert rotations.onboarding.onboard(_again(details[1]))["status"] == "unchanged"


def _with_unconfirmed(rotations: Rotations, first: str, second: str) -> tuple[str, str, str]:
    """An access in service with its secret, and an access that adopts the secret and whose hand-off nobody has confirmed."""
    onboarding = rotations.onboarding
    one, other = CONSUMERS[first](onboarding.aws), CONSUMERS[second](onboarding.aws)
    made = onboarding.hand_off(one.staged)
    access_id, secret_arn = made["accessId"], made["resources"]["secretArn"]
    onboarding.consent(secret_arn)
    shared = {"key": one.staged["key"], "secret": {"value": {"existing": {"secretArn": secret_arn}}}}
    companion = onboarding.hand_off(other.staged | shared)["accessId"]
    assert onboarding.confirm(access_id)["detail-type"] == "Access Onboarded"
    return access_id, companion, secret_arn


def test_unconfirmed_companion_gets_the_new_token_when_it_is_confirmed(rotations: Rotations) -> None:
    first, second, _ = _with_unconfirmed(rotations, "mediapackage", "mediapackage-vod")

    rotations.rotate(first)

    confirmed = rotations.onboarding.confirm(second)
    assert confirmed["detail-type"] == "Access Onboarded", confirmed["detail"]
    rotations.rotate(second)


def test_unconfirmed_companion_that_reads_only_once_stops_the_rotation(rotations: Rotations) -> None:
    first, second, secret_arn = _with_unconfirmed(rotations, "mediaconnect-output", "mediaconnect-source")

    with _unchanged(rotations, secret_arn):
        problems = rotations.reject(first, acceptsInterruption=True)
        assert problems.keys() == {"accessId"}
        assert second in problems["accessId"]


def test_adopted_secret_is_rotated_only_while_its_owner_consents(rotations: Rotations) -> None:
    onboarding = rotations.onboarding
    members = _shared(rotations, {MEMBER: "present-token"})
    secret_arn, made = _secret(members), onboarding.onboard(onboarding.detail(**members))
    rotations.stage(made["accessId"])
    rotations.withdraw(made["accessId"])
    rotations.secretsmanager.untag_resource(SecretId=secret_arn, TagKeys=["latchkey:rotation-consent"])

    with _unchanged(rotations, secret_arn):
        problems = rotations.reject(made["accessId"])
        assert problems.keys() == {"accessId"}
        assert "latchkey:rotation-consent=rotate" in problems["accessId"]


def test_consent_that_is_withdrawn_during_a_pending_rotation_stops_its_confirmation(rotations: Rotations) -> None:
    members = _shared(rotations, {MEMBER: "present-token"})
    made = rotations.onboarding.onboard(rotations.onboarding.detail(**members))
    rotations.stage(made["accessId"])
    rotations.secretsmanager.untag_resource(SecretId=_secret(members), TagKeys=["latchkey:rotation-consent"])

    with _unchanged(rotations, _secret(members)):
        assert rotations.reject(made["accessId"], "Rotation Confirmed").keys() == {"accessId"}
    with _unchanged(rotations, _secret(members)):
        rotations.withdraw(made["accessId"])
