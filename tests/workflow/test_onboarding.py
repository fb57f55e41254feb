"""One request creates a working access exactly once, and existing resources keep working."""

import json
import uuid
from typing import Any

from local_aws.emulator.account import ACCOUNT, REGION
from tests.workflow.onboarding import MANAGER, MEMBER, ORIGIN, Onboarding


def _statement(policy: dict[str, Any], **members: Any) -> dict[str, Any]:
    found = [s for s in policy["Statement"] if all(s.get(name) == value for name, value in members.items())]
    assert len(found) == 1, policy
    return dict(found[0])


def test_request_creates_a_working_access_and_one_outcome(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    name = detail["resource"]["sourceLocation"]

    outcome = onboarding.onboard(detail)

    assert outcome["accessId"] == f"mediatailor/sourceLocation/{name}"
    assert (outcome["status"], outcome["changed"]) == ("active", True)
    assert set(outcome["resources"]) == {"keyArn", "secretArn", "resourceArn", "grantId"}
    assert len(onboarding.outcomes.of(detail["requestId"])) == 1


def test_key_is_symmetric_rotated_tagged_and_open_to_the_management_role(onboarding: Onboarding) -> None:
    detail = onboarding.detail(key={"alias": f"alias/latchkey/{uuid.uuid4().hex}", "rotationDays": 400})

    key_arn = onboarding.onboard(detail)["resources"]["keyArn"]

    key = onboarding.kms.describe_key(KeyId=detail["key"]["alias"])["KeyMetadata"]
    assert (key["Arn"], key["KeySpec"], key["KeyUsage"]) == (key_arn, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
    assert (key["Origin"], key["MultiRegion"], key["KeyState"]) == ("AWS_KMS", False, "Enabled")
    rotation = onboarding.kms.get_key_rotation_status(KeyId=key_arn)
    assert (rotation["KeyRotationEnabled"], rotation["RotationPeriodInDays"]) == (True, 400)
    tags = {tag["TagKey"]: tag["TagValue"] for tag in onboarding.kms.list_resource_tags(KeyId=key_arn)["Tags"]}
    own = {
        "latchkey:managed-by": "latchkey",
        "latchkey:request": detail["requestId"],
        "latchkey:tenant": "default",
        "latchkey:stack": "latchkey",
    }
    assert tags == own | {"team": "sports"}
    creation = _statement(onboarding.key_policy(key_arn), Action="kms:CreateGrant")
    assert MANAGER in creation["Principal"]["AWS"]
    assert (creation["Effect"], creation["Resource"]) == ("Allow", "*")
    assert creation["Condition"] == {"StringEquals": {"kms:ViaService": f"mediatailor.{REGION}.amazonaws.com"}}


def test_secret_has_a_token_of_the_requested_length_under_the_key(onboarding: Onboarding) -> None:
    for length in (8, 128):
        detail = onboarding.detail(secret={"value": {"generate": {"length": length}}})

        resources = onboarding.onboard(detail)["resources"]

        secret = onboarding.secretsmanager.describe_secret(SecretId=resources["secretArn"])
        assert secret["KmsKeyId"] == resources["keyArn"]
        assert secret["Name"] == f"latchkey/mediatailor/{detail['resource']['sourceLocation']}/token"
        tags = {tag["Key"]: tag["Value"] for tag in secret["Tags"]}
        assert tags["latchkey:access"] == f"mediatailor/sourceLocation/{detail['resource']['sourceLocation']}"
        assert len(onboarding.token(resources["secretArn"])) == length


def test_secret_policy_allows_the_service_to_read_only_this_secret(onboarding: Onboarding) -> None:
    secret_arn = onboarding.onboard(onboarding.detail())["resources"]["secretArn"]

    reading = _statement(onboarding.secret_policy(secret_arn), Principal={"Service": "mediatailor.amazonaws.com"})

    assert (reading["Effect"], reading["Action"], reading["Resource"]) == ("Allow", "secretsmanager:GetSecretValue", secret_arn)
    assert "Condition" not in reading


def test_grant_has_the_service_name_and_is_constrained_to_the_secret(onboarding: Onboarding) -> None:
    detail = onboarding.detail()

    resources = onboarding.onboard(detail)["resources"]

    (grant,) = onboarding.grants(resources["keyArn"])
    assert grant["GrantId"] == resources["grantId"]
    assert grant["Name"] == f"MediaTailor-SourceLocation-{ACCOUNT}-{detail['resource']['sourceLocation']}"
    assert grant["Constraints"] == {"EncryptionContextSubset": {"SecretARN": resources["secretArn"]}}


def test_source_location_sends_the_token_to_its_origin(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    name = detail["resource"]["sourceLocation"]

    secret_arn = onboarding.onboard(detail)["resources"]["secretArn"]

    access = onboarding.location(name)["AccessConfiguration"]
    assert access == {
        "AccessType": "SECRETS_MANAGER_ACCESS_TOKEN",
        "SecretsManagerAccessTokenConfiguration": {
            "HeaderName": "X-Origin-Token",
            "SecretArn": secret_arn,
            "SecretStringKey": MEMBER,
        },
    }
    package = {"Path": "/film/index.m3u8", "SourceGroup": "hls", "Type": "HLS"}
    onboarding.mediatailor.create_vod_source(SourceLocationName=name, VodSourceName="film", HttpPackageConfigurations=[package])
    (request,) = [r for r in onboarding.aws.control("GET", "origin") if r["path"] == f"/{name}/film/index.m3u8"]
    assert (request["status"], request["header"]) == (200, "X-Origin-Token")


def test_origin_reader_reads_the_token_with_its_own_role(onboarding: Onboarding) -> None:
    secret_arn = onboarding.onboard(onboarding.detail())["resources"]["secretArn"]

    as_origin = onboarding.aws.assume(ORIGIN).client("secretsmanager", endpoint_url=onboarding.aws.url)

    assert MEMBER in json.loads(as_origin.get_secret_value(SecretId=secret_arn)["SecretString"])


def test_management_role_configures_the_location_but_cannot_read_the_token(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    secret_arn = onboarding.onboard(detail)["resources"]["secretArn"]
    as_manager = onboarding.aws.assume(MANAGER)
    present = onboarding.location(detail["resource"]["sourceLocation"])

    mediatailor = as_manager.client("mediatailor", endpoint_url=onboarding.aws.url)
    mediatailor.update_source_location(
        SourceLocationName=present["SourceLocationName"],
        HttpConfiguration=present["HttpConfiguration"],
        AccessConfiguration=present["AccessConfiguration"],
    )

    secretsmanager = as_manager.client("secretsmanager", endpoint_url=onboarding.aws.url)
    assert _refusal(lambda: secretsmanager.get_secret_value(SecretId=secret_arn)) == "AccessDeniedException"


def test_second_location_shares_the_key_and_the_first_is_unchanged(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    before = onboarding.onboard(first)["resources"]
    statements = onboarding.key_policy(before["keyArn"])["Statement"]

    second = onboarding.detail(key=first["key"], managementRoles=[ORIGIN])
    after = onboarding.onboard(second)["resources"]

    assert after["keyArn"] == before["keyArn"]
    assert after["secretArn"] != before["secretArn"]
    widened = {s["Sid"]: s for s in onboarding.key_policy(before["keyArn"])["Statement"]}
    for statement in statements:
        now = widened[statement["Sid"]]
        assert (now["Action"], now["Resource"], now["Effect"]) == (statement["Action"], "*", "Allow")
        assert set(_listed(statement["Principal"]["AWS"])) <= set(_listed(now["Principal"]["AWS"]))
    assert ORIGIN in widened["LatchkeyMediatailorManagement"]["Principal"]["AWS"]
    assert onboarding.onboard(onboarding.detail(first["resource"]["sourceLocation"]))["status"] == "unchanged"


def test_second_location_shares_the_secret(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    before = onboarding.onboard(first)["resources"]
    policy = onboarding.secret_policy(before["secretArn"])

    onboarding.consent(before["secretArn"])
    existing = {"value": {"existing": {"secretArn": before["secretArn"]}}}
    after = onboarding.onboard(onboarding.detail(key=first["key"], secret=existing, managementRoles=None))["resources"]

    assert after["secretArn"] == before["secretArn"]
    assert onboarding.secret_policy(before["secretArn"]) == policy
    assert len(onboarding.grants(before["keyArn"])) == 2
    assert {grant["GrantId"] for grant in onboarding.grants(before["keyArn"])} == {before["grantId"], after["grantId"]}


def test_existing_location_keeps_its_other_settings(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    name, base_url = detail["resource"]["sourceLocation"], detail["resource"]["baseUrl"]
    tags = {"owner": "them", "latchkey:consent": "adopt"}
    segments = {
        "DefaultSegmentDeliveryConfiguration": {"BaseUrl": "https://cdn.example.com/"},
        "SegmentDeliveryConfigurations": [{"BaseUrl": "https://cdn2.example.com/", "Name": "second"}],
    }
    onboarding.mediatailor.create_source_location(
        SourceLocationName=name, HttpConfiguration={"BaseUrl": base_url}, Tags=tags, **segments
    )

    onboarding.onboard(detail)

    location = onboarding.location(name)
    assert {member: location[member] for member in segments} == segments
    assert location["HttpConfiguration"] == {"BaseUrl": base_url}
    assert location["Tags"] == tags


def test_location_that_sends_a_token_gets_a_new_one_only_with_consent(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    other = onboarding.detail(detail["resource"]["sourceLocation"], secret={"name": f"latchkey/{uuid.uuid4().hex}/new"})

    assert list(onboarding.reject(other)) == ["secret.replacesToken"]

    other |= {"requestId": "with-consent-" + other["requestId"], "secret": other["secret"] | {"replacesToken": True}}
    assert onboarding.onboard(other)["resources"]["secretArn"].startswith(
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{other['secret']['name']}"
    )


def test_same_request_twice_runs_once(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    onboarding.put(detail)
    onboarding.onboard(detail)
    before = onboarding.account_snapshot()

    onboarding.put(detail)
    other = onboarding.detail()
    onboarding.onboard(other)

    assert len(onboarding.outcomes.of(detail["requestId"])) == 1
    assert before["keys"].items() <= onboarding.account_snapshot()["keys"].items()


def test_same_content_with_a_new_id_changes_nothing(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    before = onboarding.account_snapshot()

    outcome = onboarding.onboard(detail | {"requestId": f"again-{detail['requestId']}"})

    assert (outcome["status"], outcome["changed"]) == ("unchanged", False)
    assert onboarding.account_snapshot() == before


def test_request_id_with_other_content_is_a_conflict(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)

    other = onboarding.detail() | {"requestId": detail["requestId"]}
    event_id = onboarding.put(other)

    # Under the id of its event: whoever waits for the first request must not receive this outcome.
    conflict = onboarding.outcomes.wait_for(event_id, 60)
    assert conflict["detail-type"] == "Request Rejected"
    assert conflict["detail"]["errors"][0]["place"] == "requestId"
    assert [event["detail-type"] for event in onboarding.outcomes.of(detail["requestId"])] == ["Access Onboarded"]


def test_event_id_identifies_a_request_without_an_id(onboarding: Onboarding) -> None:
    event_id = onboarding.put(onboarding.detail(requestId=None))

    assert onboarding.outcomes.wait_for(event_id, 60)["detail-type"] == "Access Onboarded"


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _refusal(call: Any) -> str:
    try:
        call()
    except Exception as error:
        return str(getattr(error, "response", {}).get("Error", {}).get("Code", error))
    return "allowed"
