"""MediaPackage v1 and VOD: CDN authorization with a secret that they read through a role, and authorization of callers."""

import json
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.local_aws.conftest import Access
from tests.local_aws.gap_account import Account, allow, error_code
from tests.local_aws.role_reader import RoleReader, failure, fetch, identifier, trust_from

HEADER, KEY, TOKEN = "X-MediaPackage-CDNIdentifier", "MediaPackageCDNIdentifier", "cdn-value-that-must-stay-hidden"
SERVICE = "mediapackage.amazonaws.com"
UNPROCESSABLE = ("UnprocessableEntityException", 422, "")
PASSED = {"mediapackage": SERVICE, "mediapackage-vod": "mediapackage-vod.amazonaws.com"}


class Target:
    """An origin endpoint of v1 or a packaging group of VOD, with the operations that both have."""

    def __init__(self, account: Account, system: str) -> None:
        self.account, self.system, self.id = account, system, account.unique("target")
        self._channel = {"ChannelId": account.unique("channel")} if system == "mediapackage" else {}
        if self._channel:
            account.client(system).create_channel(Id=self._channel["ChannelId"])
        self._noun = "origin_endpoint" if self._channel else "packaging_group"

    def create(self, client: Any = None, **members: Any) -> Any:
        return self._call("create", client)(Id=self.id, **self._channel, **members)

    def update(self, client: Any = None, **members: Any) -> Any:
        return self._call("update", client)(Id=self.id, **members)

    def describe(self, client: Any = None) -> Any:
        return self._call("describe", client)(Id=self.id)

    def delete(self) -> Any:
        return self._call("delete", None)(Id=self.id)

    def listed(self) -> list[str]:
        paginator = self.account.client(self.system).get_paginator(f"list_{self._noun}s")
        items = paginator.paginate().build_full_result()
        return [item["Id"] for found in items.values() for item in found]

    def url(self) -> str:
        """Returns the URL of the endpoint, or that of an asset of the packaging group."""
        found = self.describe()
        return str(found["Url"] if "Url" in found else found["DomainName"] + "/asset/index.m3u8")

    def _call(self, verb: str, client: Any) -> Any:
        return getattr(client or self.account.client(self.system), f"{verb}_{self._noun}")


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


@pytest.fixture(params=["mediapackage", "mediapackage-vod"])
def target(account: Account, request: pytest.FixtureRequest) -> Target:
    return Target(account, request.param)


@pytest.fixture
def reader(account: Account) -> RoleReader:
    return RoleReader(account, SERVICE, identifier(KEY, TOKEN))


def authorization(reader: RoleReader, **changes: str) -> dict[str, Any]:
    return {"Authorization": {"CdnIdentifierSecret": reader.secret, "SecretsRoleArn": reader.role} | changes}


def test_endpoint_without_authorization_serves_requests_without_header(target: Target) -> None:
    target.create()
    assert fetch(target.url()) == 200
    assert fetch(target.url(), HEADER, TOKEN) == 404
    assert "Authorization" not in target.describe()


def test_endpoint_with_authorization_requires_the_value_of_the_secret(target: Target, reader: RoleReader) -> None:
    created = target.create(**authorization(reader))
    assert target.describe()["Authorization"] == created["Authorization"] == authorization(reader)["Authorization"]
    assert fetch(target.url(), HEADER, TOKEN) == 200
    assert fetch(target.url(), HEADER, "something-else") == 403
    assert fetch(target.url()) == 403
    assert TOKEN not in target.account.local.log()


def test_service_assumes_the_role_and_the_role_reads_the_secret(target: Target, reader: RoleReader) -> None:
    target.account.local.control("DELETE", "calls")
    target.create(**authorization(reader))
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role"
    assert reader.reads() == {
        (SERVICE, "AssumeRole"): 1,
        (session, "DescribeSecret"): 1,
        (session, "GetSecretValue"): 1,
    }


@pytest.mark.parametrize("missing", ["describe", "get", "decrypt"])
def test_role_that_cannot_read_the_secret_is_rejected(target: Target, reader: RoleReader, missing: str) -> None:
    target.create()
    reader.permit_all_but(missing)
    assert failure(target.update, **authorization(reader)) == UNPROCESSABLE
    assert "Authorization" not in target.describe()
    reader.permit("describe", "get", "decrypt")
    target.update(**authorization(reader))


def test_role_must_trust_the_service_for_this_account(target: Target, reader: RoleReader) -> None:
    reader.trust(trust_from(SERVICE, "111122223333"))
    assert failure(target.create, **authorization(reader)) == UNPROCESSABLE
    reader.trust(trust_from("mediaconnect.amazonaws.com", ACCOUNT))
    assert failure(target.create, **authorization(reader)) == UNPROCESSABLE
    assert target.id not in target.listed()


@pytest.mark.parametrize(
    "value",
    ["plaintext-value", "[]", identifier("Other", TOKEN), identifier(KEY, "7-chars"), identifier(KEY, "a" * 129)],
)
def test_secret_with_another_format_is_rejected(target: Target, account: Account, value: str) -> None:
    assert failure(target.create, **authorization(RoleReader(account, SERVICE, value))) == UNPROCESSABLE


def test_length_limits_of_the_value_are_inclusive(account: Account) -> None:
    for value in ("8-chars-", "a" * 128):
        Target(account, "mediapackage").create(**authorization(RoleReader(account, SERVICE, identifier(KEY, value))))


def test_secret_of_another_account_or_region_is_rejected(target: Target, reader: RoleReader) -> None:
    for arn in (reader.secret.replace("us-east-1", "eu-west-1"), reader.secret.replace(ACCOUNT, "1" * 12), reader.name):
        assert failure(target.create, **authorization(reader, CdnIdentifierSecret=arn)) == UNPROCESSABLE
    absent = authorization(reader, CdnIdentifierSecret=reader.secret[:-1] + "?")
    assert failure(target.create, **absent) == UNPROCESSABLE
    assert failure(target.create, **authorization(reader, SecretsRoleArn=reader.role_name))[1] == 422
    assert failure(target.create, **authorization(reader, SecretsRoleArn=reader.role + "s")) == UNPROCESSABLE


def test_caller_requires_pass_role(target: Target, reader: RoleReader) -> None:
    def caller(*passed_to: str) -> Any:
        passing = [allow("iam:PassRole", reader.role, StringEquals={"iam:PassedToService": name}) for name in passed_to]
        return target.account.role(allow(f"{target.system}:*"), *passing).client(target.system)

    given = authorization(reader)
    assert failure(target.create, client=caller(), **given)[:2] == ("ForbiddenException", 403)
    assert failure(target.create, client=caller("mediaconnect.amazonaws.com"), **given)[:2] == ("ForbiddenException", 403)
    target.create(caller(PASSED[target.system]), **given)


@pytest.mark.parametrize(("omitted", "open_to"), [("keep", 403), ("clear", 200)])
def test_omitted_on_put_assumption_for_authorization(target: Target, reader: RoleReader, omitted: str, open_to: int) -> None:
    target.account.assume(omittedOnPut=omitted)
    target.create(**authorization(reader))
    target.update()
    assert ("Authorization" in target.describe()) == (omitted == "keep")
    assert fetch(target.url()) == open_to


def test_omitted_package_is_removed_if_put_clears(account: Account) -> None:
    target = Target(account, "mediapackage")
    account.assume(omittedOnPut="clear")
    target.create(HlsPackage={"SegmentDurationSeconds": 4}, ManifestName="live")
    target.update(Description="only this")
    found = target.describe()
    assert (found["Description"], found["ManifestName"]) == ("only this", "index")
    assert "HlsPackage" not in found


def test_deleted_resource_is_neither_listed_nor_served(target: Target) -> None:
    target.create()
    url = target.url()
    assert target.id in target.listed()
    assert failure(target.create) == UNPROCESSABLE
    target.delete()
    assert target.id not in target.listed()
    assert fetch(url) == 404
    assert failure(target.describe)[:2] == ("NotFoundException", 404)


def test_channel_with_endpoints_cannot_be_deleted(account: Account) -> None:
    client, name = account.client("mediapackage"), account.unique("channel")
    arn = client.create_channel(Id=name, Description="live", Tags={"team": "sports"})["Arn"]
    assert client.describe_channel(Id=name)["Tags"] == {"team": "sports"}
    assert client.update_channel(Id=name, Description="sports")["Description"] == "sports"
    assert arn in [found["Arn"] for found in client.list_channels()["Channels"]]
    endpoint = account.unique("endpoint")
    client.create_origin_endpoint(Id=endpoint, ChannelId=name)
    assert [e["Id"] for e in client.list_origin_endpoints(ChannelId=name)["OriginEndpoints"]] == [endpoint]
    assert failure(client.delete_channel, Id=name) == UNPROCESSABLE
    client.delete_origin_endpoint(Id=endpoint)
    client.delete_channel(Id=name)
    assert failure(client.describe_channel, Id=name)[1] == 404


def test_cmaf_endpoint_has_a_url_for_each_manifest(account: Account) -> None:
    target = Target(account, "mediapackage")
    created = target.create(CmafPackage={"HlsManifests": [{"Id": "one"}, {"Id": "two", "ManifestName": "live"}]})
    urls = [manifest["Url"] for manifest in created["CmafPackage"]["HlsManifests"]]
    assert [url.rsplit("/", 2)[1:] for url in urls] == [["one", "index.m3u8"], ["two", "live.m3u8"]]
    assert [fetch(url) for url in urls] == [200, 200]


def test_policy_can_depend_on_resource_tags(target: Target) -> None:
    arn, root = target.create(Tags={"team": "sports"})["Arn"], target.account.client(target.system)
    tagged = {"StringEquals": {"aws:ResourceTag/team": "news"}}
    caller = target.account.role(allow(f"{target.system}:*", arn, **tagged)).client(target.system)
    assert failure(target.update, client=caller)[:2] == ("AccessDeniedException", 403)
    root.tag_resource(ResourceArn=arn, Tags={"team": "news"})
    target.update(caller)
    root.untag_resource(ResourceArn=arn, TagKeys=["team"])
    assert root.list_tags_for_resource(ResourceArn=arn)["Tags"] == {}
    assert error_code(target.describe, client=caller) == "AccessDeniedException"


def test_create_is_authorized_without_resource_and_tags_require_tag_resource(target: Target) -> None:
    creating = {"mediapackage": "CreateOriginEndpoint", "mediapackage-vod": "CreatePackagingGroup"}[target.system]
    caller = target.account.role(allow(f"{target.system}:{creating}")).client(target.system)
    assert failure(target.create, client=caller, Tags={"team": "sports"})[1] == 403
    target.create(caller)


@pytest.mark.parametrize(("key", "alerts"), [(KEY, []), ("Other", ["UNAUTHORIZED"])])
def test_mediatailor_reads_an_endpoint_with_the_same_secret(
    account: Account, reader: RoleReader, key: str, alerts: list[str]
) -> None:
    """https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-access-token-integrating-emp-cdn-auth.html"""
    target, secrets = Target(account, "mediapackage"), account.client("secretsmanager")
    target.create(**authorization(reader))
    access = Access(account.local, account.unique("sports"), reader.key, reader.secret)
    secrets.put_secret_value(SecretId=reader.secret, SecretString=json.dumps({KEY: TOKEN, "Other": "something-else"}))
    access.allow_mediatailor()
    settings = access.settings(HeaderName=HEADER, SecretStringKey=key)
    settings["HttpConfiguration"] = {"BaseUrl": target.url().rpartition("/")[0]}
    account.client("mediatailor").create_source_location(**settings)
    assert access.alerts(access.create_vod_source("/index.m3u8")["Arn"]) == alerts
