"""AWS Elemental MediaPackage v2: CDN authorization of origin endpoints, enforced by the endpoint policy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self

from botocore.exceptions import ClientError
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from latchkey import policies
from latchkey.aws.errors import is_missing
from latchkey.aws.pages import read_pages
from latchkey.aws.planned_media import ShownResource, removed, replaced
from latchkey.aws.rates import Quota
from latchkey.errors import Conflict
from latchkey.formats import identifier
from latchkey.place import Place
from latchkey.systems.readers import AssumedRole
from latchkey.systems.system import (
    Configuration,
    Configured,
    Counterpart,
    Handoff,
    Reading,
    Resource,
    Rotation,
    SecretShape,
    System,
)
from latchkey.systems.token_formats import UUID
from latchkey.wire import SecretArn

if TYPE_CHECKING:
    from mypy_boto3_mediapackagev2.client import Mediapackagev2Client

HEADER: Final = "X-MediaPackageV2-CDNIdentifier"
# https://docs.aws.amazon.com/mediapackage/latest/APIReference/API_PutOriginEndpointPolicy.html
POLICY_LIMIT: Final = 6_144
_REQUIRES_HEADER: Final = "requires the header"

Name = Annotated[str, identifier("name", 256)]


class Endpoint(Resource):
    """An existing origin endpoint, by the names of its channel group, its channel and itself.

    `otherSecrets` are secrets of other CDNs that the endpoint accepts now, and continues to accept.
    """

    kind: ClassVar[str] = "originEndpoint"

    channel_group: Name
    channel: Name
    origin_endpoint: Name
    other_secrets: Annotated[tuple[SecretArn, ...], Field(strict=False, max_length=20)] = ()

    @model_validator(mode="after")
    def _others_are_accepted_now(self) -> Self:
        if self.other_secrets and not self.configure:
            rule = "must not contain otherSecrets if configure is false: set the secrets yourself, and the role that reads them"
            raise PydanticCustomError("one_of", rule)
        return self

    @property
    def other_secret_arns(self) -> tuple[str, ...]:
        return self.other_secrets

    @property
    def name(self) -> str:
        return f"{self.channel_group}/{self.channel}/{self.origin_endpoint}"

    @classmethod
    def arn_of(cls, name: str, place: Place) -> str:
        """The ARN: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselementalmediapackagev2.html"""
        group, channel, endpoint = name.split("/")
        return place.arn("mediapackagev2", f"channelGroup/{group}/channel/{channel}/originEndpoint/{endpoint}")


class EndpointPolicies(Configuration):
    """Policies of endpoints. One call replaces both the policy and the authorization.

    The authorization alone rejects no request, and our statement only admits more requests. A statement of somebody else that
    allows everyone stays until its owner removes it, so no configuration interrupts anybody.
    https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth-setup.html
    """

    service = "mediapackagev2"
    # https://docs.aws.amazon.com/mediapackage/latest/userguide/quotas.html
    quotas = (Quota("mediapackagev2", "mediapackagev2", 5, 13),)
    our_settings = frozenset(["CdnAuthConfiguration", "Policy"])
    role_not_ready_errors = frozenset(["ValidationException"])
    shown = ShownResource(
        "GetOriginEndpointPolicy",
        ("ChannelGroupName", "ChannelName", "OriginEndpointName"),
        {"DeleteOriginEndpointPolicy": removed, "PutOriginEndpointPolicy": replaced},
    )

    def comparable(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        return policies.comparable(settings, ["Policy"])

    def wanted(self, resource: Endpoint, reading: Reading) -> dict[str, str]:
        accepted = " ".join(sorted([reading.secret_arn, *resource.other_secrets]))
        return {"secretArn": accepted, "roleArn": reading.role_arn or "", "policy": _REQUIRES_HEADER}

    def read(self, client: Mediapackagev2Client, resource: Endpoint) -> Configured | None:
        names = _names(resource.name)
        try:
            endpoint = client.get_origin_endpoint(**names)
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        policy_settings = _policy(client, names)
        document = _document(policy_settings)
        authorization = policy_settings.get("CdnAuthConfiguration", {})
        secrets = sorted(authorization.get("CdnIdentifierSecretArns", []))
        own = next((arn for arn in secrets if arn not in resource.other_secrets), None)
        allows_others = policies.missing_from(document, [_header_statement(endpoint["Arn"])]) or _open(document)
        settings = {
            "secretArn": " ".join(secrets),
            "roleArn": authorization.get("SecretsRoleArn", ""),
            "policy": "allows other requests" if allows_others else _REQUIRES_HEADER,
        }
        return Configured(
            arn=endpoint["Arn"],
            settings=settings,
            secret_arn=own,
            more_secret_arns=tuple(arn for arn in secrets if arn != own),
            public_statements=tuple(_open(document)),
            other_settings={"Policy": document},
            full_settings=names | policy_settings,
            tags=endpoint.get("Tags", {}),
        )

    def discovered(self, client: Mediapackagev2Client) -> Iterator[dict[str, Any]]:
        """Every endpoint of every channel that accepts the values of secrets. The first one is that of the request."""
        for group in (
            one["ChannelGroupName"] for page in read_pages(client.list_channel_groups) for one in page.get("Items", [])
        ):
            pages = read_pages(client.list_channels, ChannelGroupName=group)
            for channel in (one["ChannelName"] for page in pages for one in page.get("Items", [])):
                for endpoint in _endpoints(client, group, channel):
                    yield from self._discovered(client, group, channel, endpoint)

    def _discovered(self, client: Mediapackagev2Client, group: str, channel: str, endpoint: str) -> Iterator[dict[str, Any]]:
        settings = _policy(client, _names(f"{group}/{channel}/{endpoint}"))
        secrets = sorted(settings.get("CdnAuthConfiguration", {}).get("CdnIdentifierSecretArns", []))
        if secrets:
            others = {"otherSecrets": secrets[1:]} if secrets[1:] else {}
            yield {"channelGroup": group, "channel": channel, "originEndpoint": endpoint} | others

    def update(self, client: Mediapackagev2Client, resource: Endpoint, reading: Reading, present: Configured) -> None:
        client.put_origin_endpoint_policy(
            **_names(resource.name),
            Policy=policies.text_of(_with_header_statement(present)),
            CdnAuthConfiguration=_authorization(resource, reading),
        )

    def restored_settings(
        self, present: Mapping[str, Any], found: Mapping[str, Any], left: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Removes only Latchkey's statement from the policy, and keeps it if it was there before."""
        restored = super().restored_settings(present, found, left)
        restored.pop("Policy", None)
        before = [statement["Sid"] for statement in policies.own_statements(_document(found))]
        policy = policies.retain(_document(present), (), kept=before)
        return restored | ({"Policy": policies.text_of(policy)} if policy["Statement"] or "Policy" in found else {})

    def without_secret(self, full_settings: Mapping[str, Any], secret_arn: str) -> dict[str, Any]:
        """If the endpoint accepts the values of other secrets, it continues to accept them, and to require the header."""
        authorization = full_settings.get("CdnAuthConfiguration", {})
        others = [arn for arn in authorization.get("CdnIdentifierSecretArns", ()) if arn != secret_arn]
        if others:
            return {**full_settings, "CdnAuthConfiguration": {**authorization, "CdnIdentifierSecretArns": others}}
        without = {name: value for name, value in full_settings.items() if name not in self.our_settings}
        policy = policies.retain(_document(full_settings), ())
        return without | ({"Policy": policies.text_of(policy)} if policy["Statement"] else {})

    def restore(self, client: Mediapackagev2Client, full_settings: Mapping[str, Any]) -> None:
        if full_settings.get("Policy"):
            client.put_origin_endpoint_policy(**full_settings)
        else:
            client.delete_origin_endpoint_policy(**full_settings)

    def unsupported_reasons(self, _resource: Endpoint, present: Configured) -> Iterator[str]:
        try:
            length = len(policies.text_of(_with_header_statement(present)))
        except Conflict as error:
            yield str(error)
        else:
            if length > POLICY_LIMIT:
                yield f"would have a policy of {length} characters, and AWS accepts {POLICY_LIMIT}: remove statements"


def _endpoints(client: Mediapackagev2Client, group: str, channel: str) -> Iterator[str]:
    pages = read_pages(client.list_origin_endpoints, ChannelGroupName=group, ChannelName=channel, MaxResults=100)
    return (one["OriginEndpointName"] for page in pages for one in page["Items"])


def _names(name: str) -> Any:
    return dict(zip(("ChannelGroupName", "ChannelName", "OriginEndpointName"), name.split("/"), strict=True))


def _policy(client: Mediapackagev2Client, names: Any) -> dict[str, Any]:
    """The policy and authorization in the form that PutOriginEndpointPolicy accepts, or nothing if there are none."""
    try:
        found = client.get_origin_endpoint_policy(**names)
    except ClientError as error:
        if is_missing(error):
            return {}
        raise
    settings: dict[str, Any] = {member: found[member] for member in ("Policy", "CdnAuthConfiguration") if member in found}
    return settings


def _document(settings: Mapping[str, Any]) -> policies.Document | None:
    return json.loads(settings["Policy"]) if settings.get("Policy") else None


def _header_statement(endpoint_arn: str) -> policies.Statement:
    """The statement that requires the header: https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth-setup.html"""
    return {
        "Sid": f"{policies.OWN_SID}CdnAuthorization",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "mediapackagev2:GetObject",
        "Resource": endpoint_arn,
        "Condition": {"Bool": {"mediapackagev2:RequestHasMatchingCdnAuthHeader": "true"}},
    }


def _with_header_statement(present: Configured) -> policies.Document:
    return policies.merge(present.other_settings["Policy"], [_header_statement(present.arn)])


def _open(document: policies.Document | None) -> list[str]:
    """The statements, except ours, that allow everyone without a condition."""
    return [named for named in policies.public_statements(document) if not named.startswith(policies.OWN_SID)]


def _authorization(resource: Endpoint, reading: Reading) -> Any:
    return {
        "CdnIdentifierSecretArns": [reading.secret_arn, *resource.other_secrets],
        "SecretsRoleArn": reading.role_arn or "",
    }


def _handoff(resource: Endpoint, reading: Reading | None, _key_arn: str, place: Place) -> Handoff:
    reading = reading or Reading("")
    statement = _header_statement(Endpoint.arn_of(resource.name, place))
    properties = _names(resource.name) | {
        "Policy": policies.new_document([statement]),
        "CdnAuthConfiguration": _authorization(resource, reading),
    }
    return Handoff(
        values=_names(resource.name) | {"CdnIdentifierSecretArn": reading.secret_arn, "SecretsRoleArn": reading.role_arn or ""},
        steps=(
            f"Configure the CDN to send the secret's value in the header {HEADER}. "
            "After the next step, the resource rejects requests without it.",
            "Add the statement to the endpoint policy, keep the other statements, and set the authorization. "
            "The principal that sets them needs iam:PassRole for the role.",
        ),
        cloudFormation={"EndpointPolicy": {"Type": "AWS::MediaPackageV2::OriginEndpointPolicy", "Properties": properties}},
    )


MEDIAPACKAGEV2 = System(
    name="mediapackagev2",
    resource=Endpoint,
    # https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth-setup.html
    reader=AssumedRole(
        service="mediapackagev2",
        secret_actions=("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
        listing_actions=("secretsmanager:BatchGetSecretValue",),
        describes_key=True,
        regional=True,
    ),
    secret=lambda _: SecretShape(8, 256, member="MediaPackageV2CDNIdentifier", exclusive=True, format=UUID),
    configuration=EndpointPolicies(),
    handoff=_handoff,
    # https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth-rotate.html
    effect_delay_seconds=300,
    counterpart=Counterpart(
        who=lambda _: "the CDN",
        preparation=lambda resource: (
            f"Prepare the CDN to send the value in the header {HEADER} to the endpoint {resource.name}."
        ),
        interrupted=False,
    ),
    # https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth-rotate.html
    rotation=Rotation(
        after=lambda resource: (
            f"Configure the CDN to send the new value in the header {HEADER}. The endpoint {resource.name} accepts it now."
        ),
        keeps_previous=True,
    ),
    documents=(
        "https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth.html",
        "https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth-setup.html",
    ),
)
