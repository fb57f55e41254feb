"""AWS Elemental MediaPackage v2: an origin endpoint whose policy admits only requests with the secret's value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from botocore.exceptions import ClientError
from pydantic import StringConstraints

from latchkey import policies
from latchkey.aws.errors import is_missing
from latchkey.place import Place
from latchkey.systems.readers import AssumedRole
from latchkey.systems.system import Configuration, Configured, Handoff, Reading, Resource, SecretShape, System
from latchkey.systems.token_formats import UUID

if TYPE_CHECKING:
    from mypy_boto3_mediapackagev2.client import Mediapackagev2Client

HEADER: Final = "X-MediaPackageV2-CDNIdentifier"
_GATED: Final = "only with the header"

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,256}$")]


class Endpoint(Resource):
    """An origin endpoint that exists, by the names that lead to it."""

    kind: ClassVar[str] = "originEndpoint"

    channel_group: Name
    channel: Name
    origin_endpoint: Name

    @property
    def name(self) -> str:
        return f"{self.channel_group}/{self.channel}/{self.origin_endpoint}"

    @classmethod
    def arn_of(cls, name: str, place: Place) -> str:
        """https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselementalmediapackagev2.html"""
        group, channel, endpoint = name.split("/")
        return place.arn("mediapackagev2", f"channelGroup/{group}/channel/{channel}/originEndpoint/{endpoint}")


class EndpointPolicies(Configuration):
    """Endpoint policies over MediaPackage's API: a PUT of policy and authorization together.

    The authorization alone refuses nobody; the policy must demand the header, in every statement that admits everyone.
    https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth-setup.html
    """

    service = "mediapackagev2"
    our_settings = frozenset(["CdnAuthConfiguration", "Policy"])
    role_not_ready_errors = frozenset(["ValidationException"])

    def wanted(self, _resource: Endpoint, reading: Reading) -> dict[str, str]:
        return {"secretArn": reading.secret_arn, "roleArn": reading.role_arn or "", "admits": _GATED}

    def read(self, client: Mediapackagev2Client, resource: Endpoint) -> Configured | None:
        names = _names(resource.name)
        try:
            endpoint = client.get_origin_endpoint(**names)
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        whole = _policy(client, names)
        document = _document(whole)
        authorization = whole.get("CdnAuthConfiguration", {})
        secrets = authorization.get("CdnIdentifierSecretArns", [])
        gate = _gate(endpoint["Arn"])
        settings = {
            "secretArn": " ".join(secrets),
            "roleArn": authorization.get("SecretsRoleArn", ""),
            "admits": "others" if policies.missing_from(document, [gate]) or _open(document) else _GATED,
        }
        secret = secrets[0] if secrets else None
        return Configured(endpoint["Arn"], settings, secret, {"Policy": document}, names | whole, endpoint.get("Tags", {}))

    def update(self, client: Mediapackagev2Client, resource: Endpoint, reading: Reading, present: Configured) -> None:
        client.put_origin_endpoint_policy(
            **_names(resource.name),
            Policy=json.dumps(policies.merge(present.other_settings["Policy"], [_gate(present.arn)])),
            CdnAuthConfiguration=_authorization(reading),
        )

    def restored_settings(self, present: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
        """Of the policy only the gate goes, unless it was there before."""
        back = super().restored_settings(present, former)
        before = [statement["Sid"] for statement in policies.own_statements(_document(former))]
        policy = policies.retain(_document(present), (), kept=before)
        return back | {"Policy": json.dumps(policy)} if policy["Statement"] or "Policy" in former else back

    def restore(self, client: Mediapackagev2Client, whole: Mapping[str, Any]) -> None:
        if whole.get("Policy"):
            client.put_origin_endpoint_policy(**whole)
        else:
            client.delete_origin_endpoint_policy(**whole)

    def unsupported_reasons(self, _resource: Endpoint, present: Configured) -> Iterator[str]:
        if named := _open(present.other_settings["Policy"]):
            yield f"its policy admits everyone without the header, so that it would protect nothing: narrow {', '.join(named)}"


def _names(name: str) -> Any:
    return dict(zip(("ChannelGroupName", "ChannelName", "OriginEndpointName"), name.split("/"), strict=True))


def _policy(client: Mediapackagev2Client, names: Any) -> dict[str, Any]:
    """The endpoint's policy and authorization as a PUT takes them; empty if it has none."""
    try:
        found = client.get_origin_endpoint_policy(**names)
    except ClientError as error:
        if is_missing(error):
            return {}
        raise
    kept: dict[str, Any] = {member: found[member] for member in ("Policy", "CdnAuthConfiguration") if member in found}
    return kept


def _document(whole: Mapping[str, Any]) -> policies.Document | None:
    return json.loads(whole["Policy"]) if whole.get("Policy") else None


def _gate(endpoint_arn: str) -> policies.Statement:
    """https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth-setup.html"""
    return {
        "Sid": f"{policies.OWN_SID}CdnAuthorization",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "mediapackagev2:GetObject",
        "Resource": endpoint_arn,
        "Condition": {"Bool": {"mediapackagev2:RequestHasMatchingCdnAuthHeader": "true"}},
    }


def _open(document: policies.Document | None) -> list[str]:
    """The statements of others that admit everyone on no condition."""
    return [named for named in policies.public_statements(document) if not named.startswith(policies.OWN_SID)]


def _authorization(reading: Reading) -> Any:
    return {"CdnIdentifierSecretArns": [reading.secret_arn], "SecretsRoleArn": reading.role_arn or ""}


def _handoff(resource: Endpoint, reading: Reading | None, _key_arn: str, place: Place) -> Handoff:
    reading = reading or Reading("")
    gate = _gate(Endpoint.arn_of(resource.name, place))
    properties = _names(resource.name) | {
        "Policy": policies.new_document([gate]),
        "CdnAuthConfiguration": _authorization(reading),
    }
    return Handoff(
        values=_names(resource.name) | {"CdnIdentifierSecretArn": reading.secret_arn, "SecretsRoleArn": reading.role_arn or ""},
        steps=(
            "Add the statement to the endpoint's policy beside those it has: the authorization alone refuses nobody.",
            f"Let the CDN send the secret's value in the header {HEADER} first: a CDN without it is refused from then on.",
            "Whoever sets the policy needs iam:PassRole for the role.",
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
    documents=(
        "https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth.html",
        "https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth-setup.html",
    ),
)
