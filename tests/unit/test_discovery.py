"""What a discovery says about a resource, and which resources of each system it finds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from latchkey.access.bounds import Bounds
from latchkey.access.tenants import TenantDocument
from latchkey.aws.grants import Grant
from latchkey.aws.keys import ObservedKey
from latchkey.aws.secrets import DEFAULT_KEY, ObservedSecret
from latchkey.discovery.discover_resources import table
from latchkey.discovery.found import UNKNOWN_SHAPE, Discovered, DiscoveredSecret, FoundResource, access_id, describe
from latchkey.requests.parsing import parse_onboarding
from latchkey.systems import SYSTEMS
from latchkey.systems.system import Configured
from tests.unit.samples import ACCOUNT, BOUNDS, KEY_ARN, KINDS, PLACE, SECRET_ARN, SETTINGS, role

CONSENT = {"latchkey:consent": "adopt"}
LOCATION = KINDS["mediatailor"]["resource"]
KEY = ObservedKey(KEY_ARN, "Enabled", "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "AWS_KMS", False, True, datetime.now(UTC), {})
SECRET = ObservedSecret(
    SECRET_ARN, "latchkey/mediatailor/sports-origin/token", KEY_ARN, False, None, {}, stages={"v": ["AWSCURRENT"]}
)
READING = {"Effect": "Allow", "Principal": {"AWS": role("Origin")}, "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
POLICY: Any = {"Version": "2012-10-17", "Statement": [READING]}
GRANT = Grant("grant-1", KEY_ARN, None, None, frozenset(), SECRET_ARN, None, None)
KNOWN = DiscoveredSecret(
    SECRET, KEY_ARN, KEY, POLICY, (GRANT, replace(GRANT, grant_id="2", secret_arn="other")), ("alias/sports",)
)
PRESENT = Configured(PLACE.arn("mediatailor", "sourceLocation/a"), {}, SECRET_ARN, {}, {}, {})
FOUND = Discovered(SYSTEMS["mediatailor"], LOCATION, PRESENT, (PRESENT.arn, {}), KNOWN)


def described(found: Discovered = FOUND, bounds: Bounds = BOUNDS, tenant: str = "default") -> FoundResource:
    one = describe(found, SETTINGS, tenant, bounds)
    assert one
    return one


def rules(found: Discovered) -> list[str]:
    return [one.rule for one in described(found).obstacles if one.rule != UNKNOWN_SHAPE]


def test_a_resource_has_a_request_that_the_parser_accepts_and_the_consents_that_it_needs() -> None:
    one = described()

    assert one.request
    parsed = parse_onboarding(one.request)
    assert parsed.access_id == one.access_id == access_id(FOUND)
    assert (parsed.secret.value.source_arn, parsed.key.arn) == (SECRET_ARN, KEY_ARN)
    assert [consent.arn for consent in one.consents] == [PRESENT.arn, SECRET_ARN, KEY_ARN]
    assert (one.granted, one.admitted, one.reader) == (("grant-1",), (role("Origin"),), "mediatailor.amazonaws.com")
    assert rules(FOUND) == []


def test_what_has_consent_needs_none() -> None:
    secret = replace(KNOWN, secret=replace(SECRET, tags=CONSENT), key=replace(KEY, tags=CONSENT))

    assert described(replace(FOUND, target=(PRESENT.arn, CONSENT), secret=secret)).consents == ()


def with_secret(**changes: Any) -> Discovered:
    return replace(FOUND, secret=replace(KNOWN, secret=replace(SECRET, **changes)))


def with_key(**changes: Any) -> Discovered:
    return replace(FOUND, secret=replace(KNOWN, key=replace(KEY, **changes)))


OBSTACLES: Mapping[str, tuple[Discovered, str]] = {
    "no value": (with_secret(stages={}), "current version"),
    "deleted": (with_secret(is_being_deleted=True), "scheduled for deletion"),
    "of a service": (with_secret(owning_service="rds"), "managed by rds"),
    "a replica": (with_secret(primary_region="us-east-1"), "replica"),
    "rotated": (with_secret(is_rotated=True), "rotated by Secrets Manager"),
    "public": (replace(FOUND, secret=replace(KNOWN, policy={"Statement": [READING | {"Principal": "*"}]})), "public policy"),
    "default key": (replace(FOUND, secret=replace(KNOWN, key_id=DEFAULT_KEY, key=None)), "aws/secretsmanager"),
    "lost key": (replace(FOUND, secret=replace(KNOWN, key=None)), "nobody can read"),
    "key of AWS": (with_key(customer_managed=False), "symmetric customer managed"),
    "disabled key": (with_key(state="Disabled"), "Disabled"),
    "no secret": (replace(FOUND, secret=None), "cannot read a token"),
    "admits everybody": (replace(FOUND, present=replace(PRESENT, public_statements=("All",))), "admits everybody"),
    "another Region": (
        replace(FOUND, present=replace(PRESENT, secret_arn=SECRET_ARN.replace("eu-west-1", "us-east-1")), secret=None),
        "another account or Region",
    ),
    "another prefix": (
        Discovered(
            SYSTEMS["mediapackage"],
            KINDS["mediapackage"]["resource"],
            replace(PRESENT, settings={"roleArn": role("Reader")}),
            (PRESENT.arn, {}),
            replace(KNOWN, secret=replace(SECRET, name="origin/token")),
        ),
        "reader roles cannot read",
    ),
    "entitled": (
        Discovered(
            SYSTEMS["mediaconnect"],
            KINDS["mediaconnect-source"]["resource"],
            replace(PRESENT, other_settings={"entitledWhile": "ACTIVE"}),
            (PRESENT.arn, {}),
            KNOWN,
        ),
        "stop the flow",
    ),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_speaks_against_an_adoption_is_said(name: str) -> None:
    found, text = OBSTACLES[name]

    assert any(text in rule for rule in rules(found)), rules(found)


def test_a_resource_that_no_request_can_describe_has_the_rules_that_it_breaks_and_no_request() -> None:
    one = described(replace(FOUND, members={**LOCATION, "secretKey": ""}))

    assert one.request is None
    assert any("secretKey" in obstacle.subject for obstacle in one.obstacles)
    assert access_id(replace(FOUND, members={**LOCATION, "secretKey": ""})) is None


@pytest.mark.parametrize(
    ("document", "is_shown"),
    [
        ({}, True),
        ({"resources": ["mediatailor/sourceLocation/sports-*"]}, True),
        ({"resources": ["mediatailor/sourceLocation/film-*"]}, False),
        ({"secretPrefix": "latchkey/mediatailor/"}, True),
        ({"secretPrefix": "latchkey/film/"}, False),
        ({"keyAliases": ["alias/sp*"]}, True),
        ({"keyAliases": ["alias/film"]}, False),
    ],
)
def test_a_tenant_sees_only_what_it_can_name(document: dict[str, Any], is_shown: bool) -> None:
    bounds = Bounds(SETTINGS, TenantDocument.model_validate(document))

    assert (describe(FOUND, SETTINGS, "sports", bounds) is not None) is is_shown


def test_a_tenant_with_bounds_sees_no_resource_without_a_request_and_no_secret_that_is_gone() -> None:
    named = Bounds(SETTINGS, TenantDocument.model_validate({"resources": ["mediatailor/sourceLocation/*"]}))
    unnamed = replace(FOUND, members={**LOCATION, "secretKey": ""})
    aliased = Bounds(SETTINGS, TenantDocument.model_validate({"keyAliases": ["alias/sp*"]}))

    assert describe(unnamed, SETTINGS, "sports", named) is None
    assert describe(replace(FOUND, secret=None), SETTINGS, "sports", aliased) is None


def test_the_table_has_no_formula() -> None:
    one = described().model_copy(update={"reader": '=HYPERLINK("https://example.com")', "key_arn": None})
    [header, row] = csv.reader(io.StringIO(table([one])))
    cells = dict(zip(header, row, strict=True))

    assert cells["reader"] == '\'=HYPERLINK("https://example.com")'
    assert cells["keyArn"] == ""
    assert json.loads(cells["request"]) == one.request


@contextmanager
def answering(service: str, *answers: tuple[str, dict[str, Any]]) -> Iterator[Any]:
    """A client that gives these answers in their order, whatever it is asked."""
    client: Any = boto3.client(service)  # type: ignore[call-overload]
    with Stubber(client) as stubber:
        for operation, answer in answers:
            stubber.add_response(operation, answer)
        yield client
        stubber.assert_no_pending_responses()


def discovered(system: str, *answers: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    configuration = SYSTEMS[system].configuration
    assert configuration
    with answering(configuration.service, *answers) as client:
        return [*configuration.discovered(client)]


def test_source_locations_with_a_token_are_found_on_all_pages() -> None:
    def listed(name: str, access: dict[str, Any]) -> dict[str, Any]:
        return {
            "Arn": PLACE.arn("mediatailor", f"sourceLocation/{name}"),
            "SourceLocationName": name,
            "HttpConfiguration": {"BaseUrl": "https://origin.example.com"},
            "AccessConfiguration": access,
        }

    token = {"SecretArn": SECRET_ARN, "HeaderName": "X-Token", "SecretStringKey": "key"}
    access = {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token}
    pages: list[dict[str, Any]] = [
        {"Items": [listed("open", {"AccessType": "S3_SIGV4"})], "NextToken": "1"},
        {"Items": [], "NextToken": "2"},
        {"Items": [listed("sports", access)]},
    ]

    assert discovered("mediatailor", *(("list_source_locations", page) for page in pages)) == [
        {"sourceLocation": "sports", "baseUrl": "https://origin.example.com", "header": "X-Token", "secretKey": "key"}
    ]


@pytest.mark.parametrize(
    ("system", "operation", "member", "name"),
    [
        ("mediapackage", "list_origin_endpoints", "OriginEndpoints", "originEndpoint"),
        ("mediapackage-vod", "list_packaging_groups", "PackagingGroups", "packagingGroup"),
    ],
)
def test_resources_with_cdn_authorization_are_found(system: str, operation: str, member: str, name: str) -> None:
    authorization = {"CdnIdentifierSecret": SECRET_ARN, "SecretsRoleArn": role("Reader")}
    page = {member: [{"Id": "open"}, {"Id": "sports", "Authorization": authorization}]}

    assert discovered(system, (operation, page)) == [{name: "sports"}]


def test_endpoints_with_cdn_authorization_are_found_in_every_channel() -> None:
    times = {"CreatedAt": datetime.now(UTC), "ModifiedAt": datetime.now(UTC)}
    arn = PLACE.arn("mediapackagev2", "x")
    group, channel = {"ChannelGroupName": "sports"}, {"ChannelGroupName": "sports", "ChannelName": "main"}
    endpoint = channel | {"OriginEndpointName": "hls"}
    cdn = {"CdnIdentifierSecretArns": [SECRET_ARN, f"{SECRET_ARN[:-1]}0"], "SecretsRoleArn": role("Reader")}
    listed: dict[str, Any] = {
        "Items": [{"Arn": arn, "ContainerType": "TS"} | endpoint | {"OriginEndpointName": n} for n in ("hls", "open")]
    }

    found = discovered(
        "mediapackagev2",
        ("list_channel_groups", {"Items": [{"Arn": arn} | group | times]}),
        ("list_channels", {"Items": [{"Arn": arn} | channel | times]}),
        ("list_origin_endpoints", listed),
        ("get_origin_endpoint_policy", endpoint | {"Policy": "{}", "CdnAuthConfiguration": cdn}),
        ("get_origin_endpoint_policy", endpoint | {"Policy": "{}"}),
    )

    first, second = sorted(cdn["CdnIdentifierSecretArns"])
    assert SECRET_ARN in (first, second)
    assert found == [{"channelGroup": "sports", "channel": "main", "originEndpoint": "hls", "otherSecrets": [second]}]


def test_parts_of_flows_with_a_secret_are_found() -> None:
    arn = f"arn:aws:mediaconnect:eu-west-1:{ACCOUNT}:flow:1-a:studio"
    listed = {
        "FlowArn": arn,
        "AvailabilityZone": "a",
        "Description": "d",
        "Name": "studio",
        "SourceType": "OWNED",
        "Status": "ACTIVE",
    }
    common = {"AvailabilityZone": "a", "FlowArn": arn, "Name": "studio", "Status": "ACTIVE"}
    key = {"RoleArn": role("Reader"), "SecretArn": SECRET_ARN}
    outputs: list[dict[str, Any]] = [
        {"Name": "one", "OutputArn": f"{arn}:1", "Encryption": key | {"Algorithm": "aes256"}},
        {"Name": "two", "OutputArn": f"{arn}:2", "Encryption": key | {"KeyType": "srt-password"}},
        {"Name": "speke", "OutputArn": f"{arn}:3", "Encryption": key | {"KeyType": "speke"}},
        {"Name": "open", "OutputArn": f"{arn}:4"},
    ]
    flow = common | {"Entitlements": [], "Outputs": outputs, "Source": {"Name": "camera", "SourceArn": f"{arn}:5"}}

    assert discovered("mediaconnect", ("list_flows", {"Flows": [listed]}), ("describe_flow", {"Flow": flow})) == [
        {"flowArn": arn, "output": "one", "keyType": "static-key", "algorithm": "aes256"},
        {"flowArn": arn, "output": "two", "keyType": "srt-password"},
    ]
