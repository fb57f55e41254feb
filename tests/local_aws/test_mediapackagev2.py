"""MediaPackage v2: endpoint policies, CDN authorization as a condition key, and authorization of callers."""

from dataclasses import dataclass
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.local_aws.gap_account import Account, allow, deny, policy
from tests.local_aws.role_reader import RoleReader, failure, fetch, identifier, trust_from

HEADER, KEY, TOKEN = "X-MediaPackageV2-CDNIdentifier", "MediaPackageV2CDNIdentifier", "cdn-value-that-must-stay-hidden"
SERVICE = "mediapackagev2.amazonaws.com"
MATCHING = {"Bool": {"mediapackagev2:RequestHasMatchingCdnAuthHeader": "true"}}


@dataclass
class Endpoint:
    """An origin endpoint in a channel of a channel group."""

    account: Account
    names: dict[str, str]
    arn: str
    url: str

    def client(self, *statements: dict[str, Any]) -> Any:
        """Returns a client of the root user, or of a role with these statements."""
        return self.account.role(*statements).client("mediapackagev2") if statements else self.account.client("mediapackagev2")

    def put(self, reader: RoleReader | None = None, client: Any = None, policy: str = "", **changes: Any) -> Any:
        """Puts a policy, by default one that requires the header, and the CdnAuthConfiguration of the reader."""
        given: dict[str, Any] = {"Policy": policy or self.gate()}
        if reader:
            members = {"CdnIdentifierSecretArns": [reader.secret], "SecretsRoleArn": reader.role}
            given["CdnAuthConfiguration"] = members | changes
        return (client or self.client()).put_origin_endpoint_policy(**self.names, **given)

    def gate(self, **condition: Any) -> str:
        return policy({"Principal": "*"} | allow("mediapackagev2:GetObject", self.arn, **(condition or MATCHING)))

    def open(self) -> str:
        return policy({"Principal": "*"} | allow("mediapackagev2:GetObject", self.arn))


def make(account: Account) -> Endpoint:
    client = account.client("mediapackagev2")
    group, channel = {"ChannelGroupName": account.unique("group")}, {"ChannelName": account.unique("channel")}
    endpoint = {"OriginEndpointName": account.unique("endpoint")}
    client.create_channel_group(**group)
    client.create_channel(**group, **channel, InputType="HLS")
    members = {"ContainerType": "TS", "HlsManifests": [{"ManifestName": "index"}]}
    made = client.create_origin_endpoint(**group, **channel, **endpoint, **members)
    return Endpoint(account, group | channel | endpoint, made["Arn"], made["HlsManifests"][0]["Url"])


@pytest.fixture
def endpoint(local: Embedded) -> Endpoint:
    return make(Account(local))


@pytest.fixture
def reader(endpoint: Endpoint) -> RoleReader:
    return RoleReader(endpoint.account, SERVICE, identifier(KEY, TOKEN))


def test_endpoint_without_policy_serves_no_request(endpoint: Endpoint) -> None:
    assert fetch(endpoint.url) == 403
    assert failure(endpoint.client().get_origin_endpoint_policy, **endpoint.names)[:2] == ("ResourceNotFoundException", 404)


def test_policy_that_requires_the_header_allows_requests_with_the_value(endpoint: Endpoint, reader: RoleReader) -> None:
    endpoint.put(reader)
    assert [fetch(endpoint.url, HEADER, value) for value in (TOKEN, "something-else")] == [200, 403]
    assert fetch(endpoint.url) == 403
    reader.rotate(identifier(KEY, "new-value-1"))
    assert [fetch(endpoint.url, HEADER, value) for value in (TOKEN, "new-value-1")] == [200, 200]
    assert TOKEN not in endpoint.account.local.log()


def test_cdn_authorization_has_no_effect_without_a_condition_in_the_policy(endpoint: Endpoint, reader: RoleReader) -> None:
    endpoint.put(reader, policy=endpoint.open())
    assert [fetch(endpoint.url), fetch(endpoint.url, HEADER, "something-else")] == [200, 200]


def test_policy_that_requires_the_header_denies_all_requests_without_cdn_authorization(endpoint: Endpoint) -> None:
    endpoint.put()
    assert fetch(endpoint.url, HEADER, TOKEN) == 403


def test_put_policy_replaces_the_cdn_authorization(endpoint: Endpoint, reader: RoleReader) -> None:
    endpoint.put(reader)
    found = endpoint.client().get_origin_endpoint_policy(**endpoint.names)
    assert found["Policy"] == endpoint.gate()
    assert found["CdnAuthConfiguration"] == {"CdnIdentifierSecretArns": [reader.secret], "SecretsRoleArn": reader.role}
    endpoint.put()
    assert "CdnAuthConfiguration" not in endpoint.client().get_origin_endpoint_policy(**endpoint.names)
    assert fetch(endpoint.url, HEADER, TOKEN) == 403
    endpoint.client().delete_origin_endpoint_policy(**endpoint.names)
    assert failure(endpoint.client().get_origin_endpoint_policy, **endpoint.names)[1] == 404
    endpoint.client().delete_origin_endpoint_policy(**endpoint.names)


def test_service_assumes_the_role_and_the_role_reads_the_secret(endpoint: Endpoint, reader: RoleReader) -> None:
    endpoint.account.local.control("DELETE", "calls")
    endpoint.put(reader)
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role"
    assert reader.reads() == {
        (SERVICE, "AssumeRole"): 1,
        (session, "DescribeSecret"): 1,
        (session, "BatchGetSecretValue"): 1,
    }


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("describe", "DESCRIBE_SECRET_DENIED"),
        ("get", "GET_SECRET_VALUE_DENIED"),
        ("batch", "BATCH_GET_SECRET_VALUE_DENIED"),
        ("decrypt", "DECRYPT_SECRET_FAILED"),
    ],
)
def test_reason_for_a_missing_permission(endpoint: Endpoint, reader: RoleReader, missing: str, reason: str) -> None:
    reader.permit_all_but(missing)
    assert failure(endpoint.put, reader=reader) == ("ValidationException", 400, reason)
    assert failure(endpoint.client().get_origin_endpoint_policy, **endpoint.names)[1] == 404


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("plaintext-value", "INVALID_SECRET_FORMAT"),
        (identifier("MediaPackageCDNIdentifier", TOKEN), "INVALID_SECRET_KEY"),
        (f'{{"{KEY}": "{TOKEN}", "Other": "b"}}', "SECRET_IS_NOT_ONE_KEY_VALUE_PAIR"),
        (identifier(KEY, "7-chars"), "INVALID_SECRET_VALUE"),
        (identifier(KEY, "a" * 257), "INVALID_SECRET_VALUE"),
        (f'{{"{KEY}": 12345678}}', "INVALID_SECRET_VALUE"),
    ],
)
def test_reason_for_an_invalid_secret(endpoint: Endpoint, value: str, reason: str) -> None:
    assert failure(endpoint.put, reader=RoleReader(endpoint.account, SERVICE, value))[2] == reason


def test_reason_for_an_invalid_arn(endpoint: Endpoint, reader: RoleReader) -> None:
    def reason(*secrets: str, **changes: str) -> str:
        listed = {"CdnIdentifierSecretArns": list(secrets)} if secrets else {}
        return failure(endpoint.put, reader=reader, **listed, **changes)[2]

    assert reason(f"{reader.name}-longer-than-twenty") == "MALFORMED_SECRET_ARN"
    assert reason(reader.secret.replace(ACCOUNT, "1" * 12)) == "SECRET_FROM_DIFFERENT_ACCOUNT"
    assert reason(reader.secret.replace("us-east-1", "eu-west-1")) == "SECRET_FROM_DIFFERENT_REGION"
    assert reason(reader.secret, reader.secret) == "DUPLICATED_SECRET"
    assert reason(SecretsRoleArn=f"{reader.role_name}-longer-than-twenty") == "ROLE_ARN_INVALID_FORMAT"
    assert reason(SecretsRoleArn=f"{reader.role}s") == "ROLE_ARN_NOT_ASSUMABLE"
    reader.trust(trust_from(SERVICE, "111122223333"))
    assert reason() == "ROLE_ARN_NOT_ASSUMABLE"


def test_reason_for_a_missing_secret(endpoint: Endpoint, reader: RoleReader) -> None:
    secrets = endpoint.account.client("secretsmanager")
    secrets.delete_secret(SecretId=reader.secret)
    assert failure(endpoint.put, reader=reader)[2] == "INVALID_SECRET"
    secrets.delete_secret(SecretId=reader.secret, ForceDeleteWithoutRecovery=True)
    assert failure(endpoint.put, reader=reader)[2] == "SECRET_ARN_RESOURCE_NOT_FOUND"


def test_value_of_any_configured_secret_is_accepted(endpoint: Endpoint, reader: RoleReader) -> None:
    another = endpoint.account.client("secretsmanager").create_secret(
        Name=endpoint.account.unique("latchkey/other"), SecretString=identifier(KEY, "a" * 256)
    )["ARN"]
    assert failure(endpoint.put, reader=reader, CdnIdentifierSecretArns=[reader.secret, another])[2] == "DESCRIBE_SECRET_DENIED"
    iam = endpoint.account.client("iam")
    both = policy(allow(["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"], another))
    iam.put_role_policy(RoleName=reader.role_name, PolicyName="more", PolicyDocument=both)
    endpoint.put(reader, CdnIdentifierSecretArns=[reader.secret, another])
    assert [fetch(endpoint.url, HEADER, value) for value in (TOKEN, "a" * 256)] == [200, 200]


@pytest.mark.parametrize("wrong", ["none", "{}", "statement", "wildcard"])
def test_policy_must_only_name_the_endpoint(endpoint: Endpoint, wrong: str) -> None:
    statement = {"Principal": "*"} | allow("mediapackagev2:GetObject", endpoint.arn.rpartition("/")[0] + "/*")
    document = {"statement": policy(allow("mediapackagev2:GetObject", endpoint.arn)), "wildcard": policy(statement)}
    assert failure(endpoint.put, policy=document.get(wrong, wrong))[2] == "INVALID_POLICY"


def test_deny_in_the_policy_overrides_allow(endpoint: Endpoint) -> None:
    everyone = {"Principal": "*"}
    document = policy(everyone | allow("*", endpoint.arn), everyone | deny("mediapackagev2:GetObject", endpoint.arn))
    endpoint.put(policy=document)
    assert fetch(endpoint.url) == 403


def test_caller_requires_pass_role(endpoint: Endpoint, reader: RoleReader) -> None:
    every = allow("mediapackagev2:*")
    for_another = allow("iam:PassRole", reader.role, StringEquals={"iam:PassedToService": "mediapackage.amazonaws.com"})
    assert failure(endpoint.put, reader=reader, client=endpoint.client(every, for_another))[1] == 403
    passing = allow("iam:PassRole", reader.role, StringEquals={"iam:PassedToService": SERVICE})
    endpoint.put(reader, endpoint.client(every, passing))
    endpoint.put(client=endpoint.client(every))


@pytest.mark.parametrize("missing", ["", "/channel/", "/originEndpoint/"])
def test_caller_requires_permission_on_endpoint_channel_and_group(endpoint: Endpoint, missing: str) -> None:
    group, _, _ = endpoint.arn.partition("/channel/")
    channel, _, _ = endpoint.arn.partition("/originEndpoint/")
    levels = {"": group, "/channel/": channel, "/originEndpoint/": endpoint.arn}
    statements = [allow("mediapackagev2:PutOriginEndpointPolicy", arn) for arn in levels.values()]
    endpoint.put(client=endpoint.client(*statements))
    del levels[missing]
    statements = [allow("mediapackagev2:PutOriginEndpointPolicy", arn) for arn in levels.values()]
    assert failure(endpoint.put, client=endpoint.client(*statements))[:2] == ("AccessDeniedException", 403)


def test_policy_can_depend_on_tags_of_every_level(endpoint: Endpoint) -> None:
    tagged = allow("mediapackagev2:GetOriginEndpoint", StringEquals={"aws:ResourceTag/team": "sports"})
    get = endpoint.client(tagged).get_origin_endpoint
    group, channel = endpoint.arn.partition("/channel/")[0], endpoint.arn.partition("/originEndpoint/")[0]
    for arn in (group, channel, endpoint.arn):
        assert failure(get, **endpoint.names)[1] == 403
        endpoint.client().tag_resource(ResourceArn=arn, Tags={"team": "sports"})
    assert get(**endpoint.names)["Tags"] == {"team": "sports"}
    endpoint.client().untag_resource(ResourceArn=group, TagKeys=["team"])
    assert endpoint.client().list_tags_for_resource(ResourceArn=group)["Tags"] == {}


def test_every_level_is_listed_described_and_deleted_only_if_empty(endpoint: Endpoint) -> None:
    client, names = endpoint.client(), endpoint.names
    group = {"ChannelGroupName": names["ChannelGroupName"]}
    channel = group | {"ChannelName": names["ChannelName"]}
    egress = client.get_channel_group(**group)["EgressDomain"]
    assert endpoint.url == f"http://{egress}/out/v1/{'/'.join(names.values())}/index.m3u8"
    assert group["ChannelGroupName"] in [item["ChannelGroupName"] for item in client.list_channel_groups()["Items"]]
    assert [item["ChannelName"] for item in client.list_channels(**group)["Items"]] == [channel["ChannelName"]]
    assert [item["Arn"] for item in client.list_origin_endpoints(**channel)["Items"]] == [endpoint.arn]
    assert client.get_channel(**channel)["InputType"] == "HLS"
    assert failure(client.create_channel, **channel)[:2] == ("ConflictException", 409)
    assert failure(client.delete_channel_group, **group)[:2] == ("ConflictException", 409)
    client.delete_origin_endpoint(**names)
    assert fetch(endpoint.url) == 404
    client.delete_origin_endpoint_policy(**names)
    assert failure(client.get_origin_endpoint, **names)[:2] == ("ResourceNotFoundException", 404)
    client.delete_channel(**channel)
    client.delete_channel_group(**group)
    client.delete_channel_group(**group)
    assert failure(client.create_channel, **channel)[1] == 404


@pytest.mark.parametrize(("omitted", "described"), [("keep", "first"), ("clear", None)])
def test_omitted_on_put_assumption_for_endpoints(endpoint: Endpoint, omitted: str, described: str | None) -> None:
    endpoint.account.assume(omittedOnPut=omitted)
    first = endpoint.client().update_origin_endpoint(**endpoint.names, ContainerType="TS", Description="first")
    second = endpoint.client().update_origin_endpoint(**endpoint.names, ContainerType="TS", ETag=first["ETag"])
    assert second.get("Description") == described
    assert ("HlsManifests" in second) == (omitted == "keep")
    stale = {"ContainerType": "TS", "ETag": first["ETag"]}
    assert failure(endpoint.client().update_origin_endpoint, **endpoint.names, **stale)[1] == 409
    changed = failure(endpoint.client().update_origin_endpoint, **endpoint.names, ContainerType="CMAF")
    assert changed[2] == "CONTAINER_TYPE_IMMUTABLE"
