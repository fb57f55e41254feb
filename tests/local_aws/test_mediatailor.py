"""MediaTailor: access to secrets with grants, authorization, alerts, and every assumption."""

import hashlib
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.tools.embedded_aws import Embedded, until
from tests.local_aws.conftest import HEADER, SECRET_KEY, TOKEN, Access


def rejected(call: Callable[..., Any], **kwargs: Any) -> tuple[int, str]:
    """Returns status and message of a call that must fail without a token in its error."""
    with pytest.raises(ClientError) as caught:
        call(**kwargs)
    answer = caught.value.response
    assert TOKEN not in json.dumps(answer)
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]


def test_grant_has_its_name_and_is_limited_to_the_secret(access: Access) -> None:
    access.create()
    (grant,) = access.grants()
    assert grant["Name"] == access.grant_name
    assert grant["GranteePrincipal"] == "mediatailor.us-east-1.amazonaws.com"
    assert grant["Operations"] == ["Decrypt", "RetireGrant"]
    assert grant["Constraints"] == {"EncryptionContextSubset": {"SecretARN": access.secret}}


def test_grant_to_the_service_principal_is_limited_to_the_location(access: Access) -> None:
    access.local.control("PUT", "assumptions", {"grantForm": "service-principal"})
    arn = access.create()["Arn"]
    (grant,) = access.grants()
    assert grant["GranteeServicePrincipal"] == grant["RetiringServicePrincipal"] == "mediatailor.amazonaws.com"
    assert grant["Constraints"] == {"SourceArn": arn}
    assert "GranteePrincipal" not in grant
    access.create_vod_source()
    assert access.local.control("GET", "origin")[-1]["status"] == 200


def test_grant_to_the_service_role_is_limited_to_the_secret(access: Access) -> None:
    access.local.control("PUT", "assumptions", {"grantForm": "role"})
    access.create()
    (grant,) = access.grants()
    role = "arn:aws:iam::000000000000:role/aws-service-role/mediatailor.amazonaws.com/AWSServiceRoleForMediaTailor"
    assert grant["GranteePrincipal"] == role
    assert grant["Constraints"] == {"EncryptionContextSubset": {"SecretARN": access.secret}}
    access.create_vod_source()
    assert access.local.control("GET", "origin")[-1]["status"] == 200


def test_location_is_described_as_created(access: Access) -> None:
    client = access.local.client("mediatailor")
    created = client.create_source_location(**access.settings(), Tags={"team": "sports"})
    described = client.describe_source_location(SourceLocationName=access.name)
    for answer in (created, described):
        assert answer["AccessConfiguration"] == access.settings()["AccessConfiguration"]
        assert answer["Arn"] == f"arn:aws:mediatailor:us-east-1:000000000000:sourceLocation/{access.name}"
        assert answer["Tags"] == {"team": "sports"}
    assert rejected(access.create)[0] == 400


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("plaintext-token", "not JSON"),
        (json.dumps({"other": TOKEN}), "not JSON with the key"),
        (json.dumps({SECRET_KEY: "short"}), "8 to 128"),
        (json.dumps({SECRET_KEY: TOKEN * 6}), "8 to 128"),
        (json.dumps({SECRET_KEY: 12345678}), "not JSON with the key"),
    ],
)
def test_secret_with_another_format_is_rejected(access: Access, value: str, reason: str) -> None:
    status, message = rejected(access.create, SecretArn=access.new_secret(value))
    assert status == 400
    assert reason in message


def test_secret_under_an_unsupported_key_is_rejected(access: Access) -> None:
    kms, alias = access.local.client("kms"), f"alias/{access.name}"
    kms.create_alias(AliasName=alias, TargetKeyId=access.key)
    assert "aws/secretsmanager" in rejected(access.create, SecretArn=access.new_secret(key=None))[1]
    assert "key's ARN" in rejected(access.create, SecretArn=access.new_secret(key=alias))[1]
    kms.disable_key(KeyId=access.key)
    assert "Disabled" in rejected(access.create)[1]
    assert access.grants() == []


def test_secret_elsewhere_is_rejected(access: Access) -> None:
    for arn in (access.secret.replace("us-east-1", "eu-west-1"), access.secret.replace("0" * 12, "1" * 12)):
        assert rejected(access.create, SecretArn=arn)[0] == 400
    access.local.client("secretsmanager").delete_secret(SecretId=access.secret)
    assert "marked for deletion" in rejected(access.create)[1]


@pytest.mark.parametrize("header", ["x-amz-token", "X-Amzn-Token"])
def test_reserved_header_is_rejected(access: Access, header: str) -> None:
    assert rejected(access.create, HeaderName=header)[0] == 400


def role_client(local: Embedded, statements: list[dict[str, Any]]) -> Any:
    """Returns a client of a new role with these statements."""
    iam, name = local.client("iam"), f"caller-{uuid.uuid4().hex[:8]}"
    trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
    return local.assume(role["Arn"]).client("mediatailor", endpoint_url=local.url)


def allow(action: str, **condition: dict[str, str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": "*"} | ({"Condition": condition} if condition else {})


NEEDED = [
    allow("mediatailor:*"),
    allow("secretsmanager:DescribeSecret", Bool={"aws:ViaAWSService": "true"}),
    allow("secretsmanager:GetSecretValue", Bool={"aws:ViaAWSService": "true"}),
    allow("kms:CreateGrant", StringEquals={"kms:ViaService": "mediatailor.us-east-1.amazonaws.com"}),
]


@pytest.mark.parametrize("missing", range(len(NEEDED)))
def test_caller_requires_every_permission_of_a_forward_access_session(access: Access, missing: int) -> None:
    caller = role_client(access.local, NEEDED[:missing] + NEEDED[missing + 1 :])
    assert rejected(access.create, client=caller)[0] == 403
    assert access.grants() == []


def test_caller_requires_no_other_permission(access: Access) -> None:
    access.create(role_client(access.local, NEEDED))
    assert len(access.grants()) == 1


def test_caller_needs_decrypt_assumption(access: Access) -> None:
    access.local.control("PUT", "assumptions", {"callerNeedsDecrypt": True})
    assert "kms:Decrypt" in rejected(access.create, client=role_client(access.local, NEEDED))[1]
    decrypt = allow("kms:Decrypt", StringEquals={"kms:EncryptionContext:SecretARN": access.secret})
    access.create(role_client(access.local, [*NEEDED, decrypt]))


def test_management_role_can_create_locations_and_origin_role_cannot(access: Access) -> None:
    roles = {name: f"arn:aws:iam::000000000000:role/{name}" for name in ("MediaTailorManagement", "Origin")}
    access.local.control("PUT", "assumptions", {"callerNeedsDecrypt": True})
    clients = {n: access.local.assume(a).client("mediatailor", endpoint_url=access.local.url) for n, a in roles.items()}
    access.create(clients["MediaTailorManagement"])
    assert rejected(clients["Origin"].describe_source_location, SourceLocationName=access.name)[0] == 403


def test_policy_can_depend_on_the_resource_and_its_tags(access: Access) -> None:
    client = access.local.client("mediatailor")
    arn = client.create_source_location(**access.settings(), Tags={"team": "sports"})["Arn"]
    tagged = allow("mediatailor:Describe*", StringEquals={"aws:ResourceTag/team": "sports"})
    describe = role_client(access.local, [tagged | {"Resource": arn}]).describe_source_location
    describe(SourceLocationName=access.name)
    client.untag_resource(ResourceArn=arn, TagKeys=["team"])
    assert rejected(describe, SourceLocationName=access.name)[0] == 403
    asked = allow("mediatailor:TagResource", StringEquals={"aws:RequestTag/team": "news"})
    tag = role_client(access.local, [asked]).tag_resource
    assert rejected(tag, ResourceArn=arn, Tags={"team": "sports"})[0] == 403
    tag(ResourceArn=arn, Tags={"team": "news"})
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"team": "news"}


def test_create_with_tags_requires_tag_resource(access: Access) -> None:
    caller = role_client(access.local, [allow("mediatailor:CreateSourceLocation"), *NEEDED[1:]])
    assert rejected(caller.create_source_location, **access.settings(), Tags={"team": "sports"})[0] == 403


def test_location_with_a_secret_that_denies_mediatailor_has_an_alert(access: Access) -> None:
    secret = access.new_secret()
    arn = access.create(SecretArn=secret)["Arn"]
    assert access.alerts(arn) == ["NOT_PROCESSED"]
    assert access.alerts(access.create_vod_source()["Arn"]) == ["NOT_PROCESSED"]
    access.allow_mediatailor(secret)
    assert access.alerts(arn) == []


def test_deleted_secret_raises_an_alert(access: Access) -> None:
    arn, source = access.create()["Arn"], access.create_vod_source()["Arn"]
    secret = access.settings()["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]["SecretArn"]
    access.local.client("secretsmanager").delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    until(lambda: access.alerts(arn) == ["NOT_PROCESSED"], "the alert")
    assert access.alerts(source) == []


def test_revoked_grant_or_disabled_key_raises_an_alert(access: Access) -> None:
    kms, arn = access.local.client("kms"), access.create()["Arn"]
    kms.disable_key(KeyId=access.key)
    assert access.alerts(arn) == ["NOT_PROCESSED"]
    kms.enable_key(KeyId=access.key)
    assert access.alerts(arn) == []
    kms.revoke_grant(KeyId=access.key, GrantId=access.grants()[0]["GrantId"])
    assert access.alerts(arn) == ["NOT_PROCESSED"]
    access.local.client("mediatailor").update_source_location(**access.settings())
    assert access.alerts(arn) == []


@pytest.mark.parametrize("sent", [False, True])
def test_source_account_sent_assumption(access: Access, sent: bool) -> None:
    access.local.control("PUT", "assumptions", {"sourceAccountSent": {"mediatailor": sent}})
    access.allow_mediatailor(condition={"StringEquals": {"aws:SourceAccount": "000000000000"}})
    assert access.alerts(access.create()["Arn"]) == ([] if sent else ["NOT_PROCESSED"])


def test_alerts_of_a_vod_source_depend_on_the_origin(access: Access) -> None:
    access.create()
    arn = access.create_vod_source()["Arn"]
    assert access.alerts(arn) == []
    client, package = access.local.client("mediatailor"), {"SourceGroup": "hls", "Type": "HLS"}

    def update(path: str, base: str = access.base_url) -> list[str]:
        client.update_source_location(**access.settings() | {"HttpConfiguration": {"BaseUrl": base}})
        packages = [package | {"Path": path}]
        names = {"SourceLocationName": access.name, "VodSourceName": "film"}
        client.update_vod_source(**names, HttpPackageConfigurations=packages)
        return access.alerts(arn)

    assert update("/film.mpd") == ["UNREACHABLE"]
    assert update("/film.m3u8", "http://127.0.0.1:9/x") == ["UNREACHABLE"]
    assert update("/film.m3u8") == []


def test_origin_that_denies_access_raises_unauthorized(access: Access) -> None:
    """The base URL of another location, which has another token, is below its base URL."""
    client, other = access.local.client("mediatailor"), access.new_secret(json.dumps({SECRET_KEY: TOKEN[::-1]}))
    access.allow_mediatailor(other)
    owner = {"SourceLocationName": access.name + "-owner", "HttpConfiguration": {"BaseUrl": access.base_url + "/owner"}}
    client.create_source_location(**access.settings(SecretArn=other) | owner)
    access.create()
    assert access.alerts(access.create_vod_source("/owner/film.m3u8")["Arn"]) == ["UNAUTHORIZED"]


def delete(access: Access) -> None:
    access.local.client("mediatailor").delete_source_location(SourceLocationName=access.name)


def test_deletion_retires_the_grant_immediately(access: Access) -> None:
    access.create()
    delete(access)
    assert access.grants() == []


def test_late_retirement_assumption(access: Access) -> None:
    access.local.control("PUT", "assumptions", {"mediatailorRetires": "late", "lateSeconds": 0.3})
    access.create()
    delete(access)
    assert len(access.grants()) == 1
    until(lambda: not access.grants(), "the late retirement")


@pytest.mark.parametrize("takes_reused", [False, True])
def test_late_retires_reused_assumption(access: Access, takes_reused: bool) -> None:
    switches = {"mediatailorRetires": "late", "lateSeconds": 0.3, "lateRetiresReused": takes_reused}
    access.local.control("PUT", "assumptions", switches)
    access.create()
    delete(access)
    arn = access.create()["Arn"]
    other = Access(access.local, access.name + "-b", access.key, access.secret)
    other.create()
    delete(other)  # this retirement is after the tested one
    until(lambda: all(grant["Name"] != other.grant_name for grant in access.grants()), "the other's retirement")
    assert access.alerts(arn) == (["NOT_PROCESSED"] if takes_reused else [])


@pytest.mark.parametrize(("recreated", "count"), [("same-id", 1), ("new-id", 2)])
def test_recreated_grant_assumption(access: Access, recreated: str, count: int) -> None:
    access.local.control("PUT", "assumptions", {"mediatailorRetires": "never", "recreatedGrant": recreated})
    access.create()
    delete(access)
    access.create()
    grants = access.grants()
    assert len(grants) == count
    assert {grant["Name"] for grant in grants} == {access.grant_name}
    access.local.client("mediatailor").update_source_location(**access.settings())
    assert len(access.grants()) == count


@pytest.mark.parametrize(("retires", "left"), [(False, 1), (True, 0)])
def test_update_retires_assumption(access: Access, retires: bool, left: int) -> None:
    access.local.control("PUT", "assumptions", {"updateRetires": retires})
    access.create()
    key = access.local.client("kms").create_key()["KeyMetadata"]["Arn"]
    secret = access.new_secret(key=key)
    access.local.client("mediatailor").update_source_location(**access.settings(SecretArn=secret))
    assert (len(access.grants()), len(access.grants(key))) == (left, 1)


@pytest.mark.parametrize("omitted", ["keep", "clear"])
def test_omitted_on_put_assumption_for_access_configuration(access: Access, omitted: str) -> None:
    access.local.control("PUT", "assumptions", {"omittedOnPut": omitted})
    access.create()
    client = access.local.client("mediatailor")
    settings = access.settings()
    wanted = settings.pop("AccessConfiguration")
    answer = client.update_source_location(**settings)
    assert answer.get("AccessConfiguration") == (wanted if omitted == "keep" else None)


@pytest.mark.parametrize(("empty", "status"), [("accept", 200), ("refuse", 400), ("keep", 200)])
@pytest.mark.parametrize("omitted", ["keep", "clear"])
def test_empty_access_assumption(access: Access, empty: str, status: int, omitted: str) -> None:
    access.local.control("PUT", "assumptions", {"emptyAccess": empty, "omittedOnPut": omitted})
    access.create()
    client, settings = access.local.client("mediatailor"), access.settings() | {"AccessConfiguration": {}}
    if status == 400:
        assert rejected(client.update_source_location, **settings)[0] == status
    else:
        client.update_source_location(**settings)
    described = client.describe_source_location(SourceLocationName=access.name)
    assert bool(described.get("AccessConfiguration")) == (empty != "accept")


@pytest.mark.parametrize("renews", [True, False])
def test_unchanged_update_renews_assumption(access: Access, renews: bool) -> None:
    access.local.control("PUT", "assumptions", {"unchangedUpdateRenews": renews})
    access.create()
    access.local.client("kms").revoke_grant(KeyId=access.key, GrantId=access.grants()[0]["GrantId"])
    client = access.local.client("mediatailor")
    client.update_source_location(**access.settings())
    assert len(access.grants()) == int(renews)
    client.update_source_location(**access.settings(HeaderName=HEADER.swapcase()))
    assert len(access.grants()) == 1


@pytest.mark.parametrize("status", [403, 400])
def test_denial_status_assumption(access: Access, status: int) -> None:
    access.local.control("PUT", "assumptions", {"denialStatus": status})
    caller = role_client(access.local, NEEDED[:-1])
    assert rejected(access.create, client=caller)[0] == status
    assert rejected(role_client(access.local, NEEDED[1:]).list_source_locations)[0] == status
    assert rejected(access.create, SecretArn=f"{access.secret[:-6]}AbCdEf")[0] == status
    assert access.grants() == []


@pytest.mark.parametrize("first", [True, False])
def test_sources_first_assumption(access: Access, first: bool) -> None:
    access.local.control("PUT", "assumptions", {"sourcesFirst": first})
    access.create()
    access.create_vod_source()
    client = access.local.client("mediatailor")
    if first:
        assert rejected(client.delete_source_location, SourceLocationName=access.name)[0] == 400
        client.delete_vod_source(SourceLocationName=access.name, VodSourceName="film")
    delete(access)
    assert access.grants() == []


@pytest.mark.parametrize("status", [404, 400])
def test_missing_status_assumption(local: Embedded, status: int) -> None:
    local.control("PUT", "assumptions", {"missingStatus": status})
    client, name = local.client("mediatailor"), {"SourceLocationName": "absent"}
    update = {"HttpConfiguration": {"BaseUrl": "https://origin.example.com"}}
    assert rejected(client.describe_source_location, **name)[0] == status
    assert rejected(client.update_source_location, **name, **update)[0] == status
    assert rejected(client.delete_source_location, **name)[0] == status


def test_location_lag_assumption(access: Access) -> None:
    mediatailor = access.local.client("mediatailor")
    access.local.control("PUT", "assumptions", {"locationLagSeconds": 2, "clockSeconds": 1_800_000_000})
    access.create()
    assert [grant["Name"] for grant in access.grants()] == [access.grant_name]
    assert access.name not in [item["SourceLocationName"] for item in mediatailor.list_source_locations()["Items"]]
    with pytest.raises(ClientError) as caught:
        mediatailor.describe_source_location(SourceLocationName=access.name)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404

    access.local.control("PUT", "assumptions", {"clockSeconds": 1_800_000_002})
    found = mediatailor.describe_source_location(SourceLocationName=access.name)
    assert found["CreationTime"].timestamp() == 1_800_000_000


@pytest.mark.parametrize("empty", [False, True])
def test_lists_are_complete_with_short_and_empty_pages(local: Embedded, empty: bool) -> None:
    local.control("PUT", "assumptions", {"emptyPages": empty})
    client = local.client("mediatailor", region_name="eu-central-1" if empty else "eu-west-1")
    names = [f"news-{number}" for number in range(5)]
    for name in names:
        client.create_source_location(SourceLocationName=name, HttpConfiguration={"BaseUrl": "https://origin.example.com"})
    pages = list(client.get_paginator("list_source_locations").paginate(PaginationConfig={"PageSize": 2}))
    assert [item["SourceLocationName"] for page in pages for item in page["Items"]] == names
    assert any(not page["Items"] for page in pages) == empty
    assert rejected(client.list_source_locations, NextToken="x")[0] == 400


def test_live_and_vod_sources_are_separate(access: Access) -> None:
    access.create()
    client, package = access.local.client("mediatailor"), {"Path": "/live.m3u8", "SourceGroup": "hls", "Type": "HLS"}
    names = {"SourceLocationName": access.name, "LiveSourceName": "channel one"}
    created = client.create_live_source(**names, HttpPackageConfigurations=[package])
    client.update_live_source(**names, HttpPackageConfigurations=[package | {"Path": "/b.m3u8"}])
    described = client.describe_live_source(**names)
    assert described["Arn"] == created["Arn"]
    assert described["HttpPackageConfigurations"][0]["Path"] == "/b.m3u8"
    assert [s["LiveSourceName"] for s in client.list_live_sources(SourceLocationName=access.name)["Items"]] == ["channel one"]
    assert client.list_vod_sources(SourceLocationName=access.name)["Items"] == []
    client.delete_live_source(**names)
    assert rejected(client.describe_live_source, **names)[0] == 404


def test_header_is_sent_with_the_token(access: Access) -> None:
    access.create()
    access.create_vod_source()
    (seen,) = access.local.control("GET", "origin")
    assert (seen["status"], seen["header"]) == (200, HEADER)


def test_token_cache_assumption(access: Access) -> None:
    def sent() -> str:
        access.local.client("mediatailor").update_vod_source(
            SourceLocationName=access.name,
            VodSourceName="film",
            HttpPackageConfigurations=[{"Path": "/film/index.m3u8", "SourceGroup": "hls", "Type": "HLS"}],
        )
        digest: str = access.local.control("GET", "origin")[-1]["valueSha256"]
        return digest

    access.local.control("PUT", "assumptions", {"tokenCacheSeconds": 60, "clockSeconds": 1000})
    access.create()
    access.create_vod_source()
    former, new = (hashlib.sha256(token.encode()).hexdigest() for token in (TOKEN, "new-token-1"))
    value = json.dumps({SECRET_KEY: "new-token-1"})
    access.local.client("secretsmanager").put_secret_value(SecretId=access.secret, SecretString=value)
    assert sent() == former
    access.local.control("PUT", "assumptions", {"clockSeconds": 1060})
    assert sent() == new
