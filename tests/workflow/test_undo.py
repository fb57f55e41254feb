"""An onboarding that fails leaves nothing of its own, takes nothing of the others', and succeeds when it is sent again."""

import json
import secrets
from typing import Any

import pytest

from tests.workflow.conftest import MEMBER, ORIGIN, Onboarding

# Every call that changes something on the way to a new access, and reads that can fail after the last of them.
CALLS = [
    ("kms", "CreateKey"),
    ("kms", "CreateAlias"),
    ("kms", "EnableKeyRotation"),
    ("secretsmanager", "CreateSecret"),
    ("secretsmanager", "PutResourcePolicy"),
    ("mediatailor", "CreateSourceLocation"),
    ("mediatailor", "ListAlerts"),
    ("kms", "ListGrants"),
]


def _fail(onboarding: Onboarding, service: str, operation: str, when: str = "before") -> None:
    """The next such call fails in a way that no retry is for."""
    fault = {"service": service, "operation": operation, "error": "SomethingInvalid", "status": 400, "times": 1, "when": when}
    onboarding.aws.control("POST", "faults", fault)


def _left(onboarding: Onboarding, detail: dict[str, Any]) -> dict[str, Any]:
    """What is usable of a request: its alias, its enabled keys, its secret, its source location."""
    everything = onboarding.everything()
    name = detail["resource"]["sourceLocation"]
    tags = {arn: onboarding.kms.list_resource_tags(KeyId=arn)["Tags"] for arn in everything["keys"]}
    made = {arn for arn, pairs in tags.items() for tag in pairs if tag["TagValue"] == detail["requestId"]}
    return {
        "aliases": [alias for alias in everything["aliases"] if alias == detail["key"]["alias"]],
        "keys": [arn for arn in made if everything["keys"][arn][0] != "PendingDeletion"],
        "secrets": [arn for arn in everything["secrets"] if f"/{name}/" in arn],
        "locations": [item for item in everything["locations"] if item["SourceLocationName"] == name],
    }


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("service", "operation"), CALLS)
def test_a_failed_call_leaves_nothing_and_the_next_request_succeeds(
    onboarding: Onboarding, service: str, operation: str, when: str
) -> None:
    detail = onboarding.detail()
    _fail(onboarding, service, operation, when)

    event = onboarding.send(detail)

    if event["detail-type"] == "Request Failed":
        assert event["detail"]["accessId"] == f"mediatailor/sourceLocation/{detail['resource']['sourceLocation']}"
        assert operation in event["detail"]["failure"]["message"]
        assert _left(onboarding, detail) == {"aliases": [], "keys": [], "secrets": [], "locations": []}
        again = onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})
        assert again["status"] == "active"
    else:
        # The call had its effect, and looking again was enough to find it.
        assert (event["detail-type"], when) == ("Access Onboarded", "after")
    assert len(onboarding.outcomes.of(detail["requestId"])) == 1


def test_a_failure_tells_what_was_taken_back(onboarding: Onboarding) -> None:
    _fail(onboarding, "mediatailor", "ListAlerts")

    undone = " ".join(onboarding.send(onboarding.detail())["detail"]["undone"])

    assert "sourceLocation/" in undone
    assert "/token-" in undone
    assert "scheduled for deletion in 7 days" in undone


def test_others_keep_what_they_share_with_a_request_that_fails(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    made = onboarding.onboard(first)["resources"]
    policies = (onboarding.key_policy(made["keyArn"]), onboarding.secret_policy(made["secretArn"]))
    existing = {"value": {"existing": {"secretArn": made["secretArn"]}}, "originReaders": [ORIGIN]}
    second = onboarding.detail(key=first["key"], secret=existing, managementRoles=[ORIGIN])
    _fail(onboarding, "mediatailor", "ListAlerts")

    assert onboarding.send(second)["detail-type"] == "Request Failed"

    assert (onboarding.key_policy(made["keyArn"]), onboarding.secret_policy(made["secretArn"])) == policies
    assert onboarding.onboard(first | {"requestId": f"again-{first['requestId']}"})["status"] == "unchanged"
    assert onboarding.onboard(second | {"requestId": f"again-{second['requestId']}"})["status"] == "active"


def test_an_existing_location_gets_its_former_settings_back(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    name = detail["resource"]["sourceLocation"]
    segments = {"DefaultSegmentDeliveryConfiguration": {"BaseUrl": "https://cdn.example.com/"}}
    onboarding.mediatailor.create_source_location(
        SourceLocationName=name, HttpConfiguration={"BaseUrl": detail["resource"]["baseUrl"]}, **segments
    )
    _fail(onboarding, "mediatailor", "ListAlerts")

    assert onboarding.send(detail)["detail-type"] == "Request Failed"

    location = onboarding.location(name)
    assert not location.get("AccessConfiguration")
    assert location["DefaultSegmentDeliveryConfiguration"] == segments["DefaultSegmentDeliveryConfiguration"]


def test_an_adopted_key_and_secret_stay_with_their_foreign_statements(onboarding: Onboarding) -> None:
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


def test_a_secret_that_was_moved_stays_readable_under_the_new_key(onboarding: Onboarding) -> None:
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
