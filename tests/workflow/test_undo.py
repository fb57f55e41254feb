"""A failed onboarding leaves nothing behind, changes nothing of others, and succeeds when it is sent again."""

import json
import secrets
from typing import Any

import pytest

from tests.workflow.onboarding import MEMBER, ORIGIN, Onboarding


def _fail(onboarding: Onboarding, service: str, operation: str) -> None:
    """Makes the next such call fail with an error that is not retried. A 400 of MediaTailor can be a denial, which is."""
    fault = {"service": service, "operation": operation, "error": "SomethingInvalid", "status": 409}
    onboarding.aws.control("POST", "faults", fault)


def test_failure_lists_what_was_rolled_back(onboarding: Onboarding) -> None:
    _fail(onboarding, "mediatailor", "ListAlerts")

    undone = " ".join(onboarding.send(onboarding.detail())["detail"]["undone"])

    assert "sourceLocation/" in undone
    assert "/token-" in undone
    assert "for deletion in 7 days" in undone


def test_failed_request_does_not_change_shared_resources(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    made = onboarding.onboard(first)["resources"]
    onboarding.consent(made["secretArn"])
    policies = (onboarding.key_policy(made["keyArn"]), onboarding.secret_policy(made["secretArn"]))
    onboarding.consent(made["secretArn"])
    existing = {"value": {"existing": {"secretArn": made["secretArn"]}}, "originReaders": [ORIGIN]}
    second = onboarding.detail(key=first["key"], secret=existing, managementRoles=[ORIGIN])
    _fail(onboarding, "mediatailor", "ListAlerts")

    assert onboarding.send(second)["detail-type"] == "Request Failed"

    assert (onboarding.key_policy(made["keyArn"]), onboarding.secret_policy(made["secretArn"])) == policies
    assert onboarding.onboard(first | {"requestId": f"again-{first['requestId']}"})["status"] == "unchanged"
    assert onboarding.onboard(second | {"requestId": f"again-{second['requestId']}"})["status"] == "active"


def test_the_rotation_period_of_an_own_key_is_applied_and_rolled_back(onboarding: Onboarding) -> None:
    first = onboarding.detail(key={"alias": f"alias/latchkey/{secrets.token_hex(8)}"})
    key_arn = onboarding.onboard(first)["resources"]["keyArn"]
    other = first | {"key": first["key"] | {"rotationDays": 180}}

    def period() -> int:
        return int(onboarding.kms.get_key_rotation_status(KeyId=key_arn)["RotationPeriodInDays"])

    _fail(onboarding, "mediatailor", "ListAlerts")
    failed = onboarding.send(other | {"requestId": f"failed-{first['requestId']}"})
    assert failed["detail-type"] == "Request Failed"
    assert (period(), failed["detail"]["left"]) == (365, [])
    assert any(key_arn in step and "365 days" in step for step in failed["detail"]["undone"])

    outcome = onboarding.onboard(other | {"requestId": f"changed-{first['requestId']}"})
    assert (period(), outcome["changed"]) == (180, True)
    [rotation] = [check for check in outcome["checks"] if check["name"] == "key rotates"]
    assert (rotation["result"], rotation["evidence"]) == ("passed", "rotates every 180 days")

    shared = onboarding.detail(key=first["key"] | {"rotationDays": 90})
    rejected = onboarding.send(shared)
    assert rejected["detail-type"] == "Request Rejected"
    assert [error["place"] for error in rejected["detail"]["errors"]] == ["key.rotationDays"]
    assert period() == 180


SEGMENTS = {"DefaultSegmentDeliveryConfiguration": {"BaseUrl": "https://cdn.example.com/"}}


def _fail_with_a_location_without_a_token(onboarding: Onboarding) -> tuple[str, dict[str, Any]]:
    """Returns the name of an existing source location, and the outcome of a failed request that set its token."""
    detail = onboarding.detail()
    name = detail["resource"]["sourceLocation"]
    onboarding.mediatailor.create_source_location(
        SourceLocationName=name,
        HttpConfiguration={"BaseUrl": detail["resource"]["baseUrl"]},
        Tags={"latchkey:consent": "adopt"},
        **SEGMENTS,
    )
    _fail(onboarding, "mediatailor", "ListAlerts")
    event = onboarding.send(detail)
    assert event["detail-type"] == "Request Failed"
    outcome: dict[str, Any] = event["detail"]
    return name, outcome


@pytest.mark.parametrize(
    "values", [{"emptyAccess": "accept"}, {"emptyAccess": "refuse", "omittedOnPut": "clear"}], ids=["empty", "omitted"]
)
def test_rollback_restores_the_settings_of_an_existing_location(
    onboarding: Onboarding, assume: Any, values: dict[str, Any]
) -> None:
    assume(**values)

    name, outcome = _fail_with_a_location_without_a_token(onboarding)

    location = onboarding.location(name)
    assert not location.get("AccessConfiguration")
    assert location["DefaultSegmentDeliveryConfiguration"] == SEGMENTS["DefaultSegmentDeliveryConfiguration"]
    assert (outcome["changed"], outcome["left"]) == (False, [])


@pytest.mark.parametrize("empty", ["refuse", "keep"])
def test_rollback_reports_a_token_that_no_update_removes(onboarding: Onboarding, assume: Any, empty: str) -> None:
    assume(emptyAccess=empty, omittedOnPut="keep")

    name, outcome = _fail_with_a_location_without_a_token(onboarding)

    access = onboarding.location(name)["AccessConfiguration"]
    secret = access["SecretsManagerAccessTokenConfiguration"]["SecretArn"]
    assert outcome["changed"] is True
    assert [text for text in outcome["left"] if f"sourceLocation/{name}" in text and "MediaTailor console" in text]
    assert "DeletedDate" not in onboarding.secretsmanager.describe_secret(SecretId=secret)


def test_rollback_keeps_adopted_resources_and_their_foreign_statements(onboarding: Onboarding) -> None:
    key_arn = onboarding.new_key()
    secret_arn = onboarding.new_secret(json.dumps({MEMBER: secrets.token_hex(10)}), KmsKeyId=key_arn)
    before = (onboarding.key_policy(key_arn), onboarding.secret_policy(secret_arn))
    detail = onboarding.detail(
        key={"arn": key_arn}, secret={"value": {"existing": {"secretArn": secret_arn}}}, managementRoles=None
    )
    _fail(onboarding, "mediatailor", "CreateSourceLocation")

    assert onboarding.send(detail)["detail-type"] == "Request Failed"

    assert (onboarding.key_policy(key_arn), onboarding.secret_policy(secret_arn)) == before
    assert onboarding.kms.describe_key(KeyId=key_arn)["KeyMetadata"]["KeyState"] == "Enabled"
    assert "DeletedDate" not in onboarding.secretsmanager.describe_secret(SecretId=secret_arn)


def test_moved_secret_stays_readable_under_its_new_key(onboarding: Onboarding) -> None:
    value = json.dumps({MEMBER: secrets.token_hex(10)})
    secret_arn = onboarding.new_secret(value)
    detail = onboarding.detail(secret={"value": {"existing": {"secretArn": secret_arn}}}, managementRoles=None)
    _fail(onboarding, "mediatailor", "ListAlerts")

    assert onboarding.send(detail)["detail-type"] == "Request Failed"

    key_arn = onboarding.secretsmanager.describe_secret(SecretId=secret_arn)["KmsKeyId"]
    assert onboarding.kms.describe_key(KeyId=key_arn)["KeyMetadata"]["KeyState"] == "Enabled"
    assert onboarding.secretsmanager.get_secret_value(SecretId=secret_arn)["SecretString"] == value
    again = onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})
    assert again["resources"]["keyArn"] == key_arn
