"""Resources of every system that reads a secret through a role, created by their owners, and requests for them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.workflow.onboarding import Onboarding
from tests.workflow.policy_forms import in_order

CONSENT = {"latchkey:consent": "adopt"}
PARTNERS = ("111122223333", "767397686373", "730335345392", "891377157113")


@dataclass
class ConsumerResource:
    """A resource, its members in a request, and the calls by which its owner reads it.

    `settings` returns everything that its API returns. `reads` returns the ARNs of secret and role in that. `url` is the URL
    of its manifest, if it has one.
    """

    system: str
    name: str
    resource: dict[str, Any]
    settings: Callable[[], dict[str, Any]]
    reads: Callable[[Mapping[str, Any]], tuple[str | None, str | None]]
    header: str = ""
    member: str = ""
    url: Callable[[], str] = lambda: ""

    @property
    def service(self) -> str:
        """The service that assumes the role. MediaPackage v1 uses one principal for live and VOD."""
        return "mediapackage" if self.system == "mediapackage-vod" else self.system

    @property
    def operation(self) -> str:
        """The API operation that configures the resource."""
        part = next((part for part in ("source", "output", "entitlement") if part in self.resource), "")
        known = {
            "mediapackage": "UpdateOriginEndpoint",
            "mediapackage-vod": "UpdatePackagingGroup",
            "mediapackagev2": "PutOriginEndpointPolicy",
        }
        return known.get(self.system, f"UpdateFlow{part.capitalize()}")

    @property
    def detail(self) -> dict[str, Any]:
        """A minimal request with a new key, which takes effect now."""
        return self.staged | ({"takesEffectNow": True} if self.system != "mediapackagev2" else {})

    @property
    def staged(self) -> dict[str, Any]:
        """A minimal request with a new key. It takes effect only after a confirmation if that interrupts anybody."""
        return {
            "requestId": f"request-{uuid.uuid4().hex[:12]}",
            "system": self.system,
            "resource": dict(self.resource),
            "key": {"alias": f"alias/latchkey/{self.name}"},
        }

    def token(self, value: str) -> str:
        """Returns the token in the value of a secret."""
        return str(json.loads(value)[self.member]) if self.member else value


def fetch(url: str, header: str = "", value: str = "") -> int:
    """Returns the status of a manifest request."""
    request = urllib.request.Request(url, headers={header: value} if header else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _unique(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def _authorization(found: Mapping[str, Any]) -> tuple[str | None, str | None]:
    authorization = found.get("Authorization") or {}
    return authorization.get("CdnIdentifierSecret"), authorization.get("SecretsRoleArn")


def mediapackage(aws: Embedded, tags: Mapping[str, str] = CONSENT) -> ConsumerResource:
    client, name, channel = aws.client("mediapackage"), _unique("endpoint"), _unique("channel")
    client.create_channel(Id=channel)
    client.create_origin_endpoint(
        Id=name,
        ChannelId=channel,
        Description="Sports, live",
        ManifestName="sports",
        HlsPackage={"PlaylistWindowSeconds": 90, "SegmentDurationSeconds": 4},
        StartoverWindowSeconds=3600,
        TimeDelaySeconds=30,
        Whitelist=["10.0.0.0/8"],
        Tags={"team": "sports", **tags},
    )

    def settings() -> dict[str, Any]:
        return _plain(client.describe_origin_endpoint(Id=name))

    return ConsumerResource(
        "mediapackage",
        name,
        {"originEndpoint": name},
        settings,
        _authorization,
        "X-MediaPackage-CDNIdentifier",
        "MediaPackageCDNIdentifier",
        lambda: str(settings()["Url"]),
    )


def mediapackage_vod(aws: Embedded, tags: Mapping[str, str] = CONSENT) -> ConsumerResource:
    client, name = aws.client("mediapackage-vod"), _unique("group")
    client.create_packaging_group(Id=name, Tags={"team": "sports", **tags})

    def settings() -> dict[str, Any]:
        return _plain(client.describe_packaging_group(Id=name))

    return ConsumerResource(
        "mediapackage-vod",
        name,
        {"packagingGroup": name},
        settings,
        _authorization,
        "X-MediaPackage-CDNIdentifier",
        "MediaPackageCDNIdentifier",
        lambda: str(settings()["DomainName"]) + "/asset/index.m3u8",
    )


def mediapackagev2(aws: Embedded, tags: Mapping[str, str] = CONSENT) -> ConsumerResource:
    client = aws.client("mediapackagev2")
    names = {
        "ChannelGroupName": _unique("group"),
        "ChannelName": _unique("channel"),
        "OriginEndpointName": _unique("endpoint"),
    }
    group, channel = {"ChannelGroupName": names["ChannelGroupName"]}, {"ChannelName": names["ChannelName"]}
    client.create_channel_group(**group)
    client.create_channel(**group, **channel, InputType="HLS")
    manifests = [{"ManifestName": "index"}]
    made = client.create_origin_endpoint(**names, ContainerType="TS", HlsManifests=manifests, Tags=tags)
    harvesting = {
        "Sid": "Harvesting",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "mediapackagev2:GetObject",
        "Resource": made["Arn"],
    }
    client.put_origin_endpoint_policy(**names, Policy=json.dumps({"Version": "2012-10-17", "Statement": [harvesting]}))

    def settings() -> dict[str, Any]:
        found = _plain(client.get_origin_endpoint_policy(**names))
        return found | {"Policy": in_order(json.loads(found["Policy"]))}

    def reads(found: Mapping[str, Any]) -> tuple[str | None, str | None]:
        authorization = found.get("CdnAuthConfiguration") or {}
        [secret] = authorization.get("CdnIdentifierSecretArns") or [None]
        return secret, authorization.get("SecretsRoleArn")

    resource = {
        "channelGroup": names["ChannelGroupName"],
        "channel": names["ChannelName"],
        "originEndpoint": names["OriginEndpointName"],
    }
    header, member = "X-MediaPackageV2-CDNIdentifier", "MediaPackageV2CDNIdentifier"
    url = str(made["HlsManifests"][0]["Url"])
    return ConsumerResource(
        "mediapackagev2", names["OriginEndpointName"], resource, settings, reads, header, member, lambda: url
    )


def mediaconnect(part: str, key_type: str = "static-key", name_ends: str = "") -> Callable[..., ConsumerResource]:
    """Makes a flow with a part of each kind. `name_ends` is the end of the names of the flow and of its parts."""

    def make(aws: Embedded, tags: Mapping[str, str] = CONSENT) -> ConsumerResource:
        client, name = aws.client("mediaconnect"), _unique("flow")
        protocol = "zixi-push" if key_type == "static-key" else "srt-listener"
        flow = client.create_flow(
            Name=f"{name}{name_ends}",
            FlowTags=tags,
            Sources=[
                {
                    "Name": f"camera{name_ends}",
                    "Protocol": protocol,
                    "WhitelistCidr": "10.0.0.0/16",
                    "Description": "stadium",
                    "MaxLatency": 500,
                }
            ],
            Outputs=[
                {
                    "Name": f"screen{name_ends}",
                    "Protocol": protocol,
                    "Description": "master control",
                    "CidrAllowList": ["10.0.0.0/16"],
                }
            ],
            Entitlements=[{"Name": f"partner{name_ends}", "Subscribers": [PARTNERS[0]], "Description": "affiliate"}],
        )["Flow"]
        listed, encryption, own = {
            "source": ("Sources", "Decryption", "camera"),
            "output": ("Outputs", "Encryption", "screen"),
            "entitlement": ("Entitlements", "Encryption", "partner"),
        }[part]
        own += name_ends

        def settings() -> dict[str, Any]:
            found = client.describe_flow(FlowArn=flow["FlowArn"])["Flow"]
            return next(one for one in found[listed] if one["Name"] == own)

        def reads(found: Mapping[str, Any]) -> tuple[str | None, str | None]:
            present = found.get(encryption) or {}
            return present.get("SecretArn"), present.get("RoleArn")

        resource = {"flowArn": flow["FlowArn"], part: own, "keyType": key_type}
        if key_type == "static-key":
            resource["algorithm"] = "aes256"
        return ConsumerResource("mediaconnect", name, resource, settings, reads)

    return make


CONSUMERS: Mapping[str, Callable[..., ConsumerResource]] = {
    "mediapackage": mediapackage,
    "mediapackage-vod": mediapackage_vod,
    "mediapackagev2": mediapackagev2,
    "mediaconnect-source": mediaconnect("source"),
    "mediaconnect-output": mediaconnect("output"),
    "mediaconnect-entitlement": mediaconnect("entitlement"),
    "mediaconnect-srt": mediaconnect("output", "srt-password"),
}


def left(onboarding: Onboarding, consumer: ConsumerResource) -> dict[str, bool]:
    """Returns whether the role, the secret or the key that a request created for a resource still exists."""
    iam = onboarding.aws.client("iam")
    names = [role["RoleName"] for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]]
    readers = [name for name in names if name.startswith(f"latchkey_us-east-1_{consumer.system}_")]
    secrets = onboarding.secretsmanager.get_paginator("list_secrets").paginate()
    aliases = onboarding.kms.get_paginator("list_aliases").paginate()
    described = [json.dumps(iam.list_role_tags(RoleName=name)["Tags"]) for name in readers]
    own = {value for name, value in consumer.resource.items() if name in ("originEndpoint", "packagingGroup")}
    own |= set(consumer.resource.get("flowArn", "").split(":")[6:7])
    return {
        "role": any(name in role for name in own for role in described),
        "secret": any(name in secret["Name"] for name in own for page in secrets for secret in page["SecretList"]),
        "key": any(alias["AliasName"] == consumer.detail["key"]["alias"] for page in aliases for alias in page["Aliases"]),
    }


NOTHING_LEFT = {"role": False, "secret": False, "key": False}


def _plain(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def partner_statement(account: str, sid: str = "CJA Flow IAM User Permissions") -> dict[str, Any]:
    """Returns a statement in the form of Adobe's documentation."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": [
            "kms:Decrypt",
            "kms:Encrypt",
            "kms:ReEncrypt*",
            "kms:GenerateDataKey*",
            "kms:DescribeKey",
            "kms:CreateGrant",
        ],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalAccount": account}},
    }


def adobe_detail(**resource: Any) -> dict[str, Any]:
    """Returns a request for the key of a new instance. The first statement has the Sid of the owner's root statement."""
    sids = ["Enable IAM User Permissions", "CJA Flow", "CJA Integrity", "CJA Oberon"]
    statements = [partner_statement(account, sid) for account, sid in zip(PARTNERS, sids, strict=True)]
    instance = {"instance": _unique("instance"), "instanceRegion": "us-east-1", "partnerStatements": statements}
    return {
        "requestId": f"request-{uuid.uuid4().hex[:12]}",
        "system": "adobe-experience-platform",
        "resource": instance | resource,
    }
