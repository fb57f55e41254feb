"""AWS Elemental MediaConnect: a source, output or entitlement of a flow, encrypted with a static key or an SRT password."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self

from botocore.exceptions import ClientError
from pydantic import StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from latchkey.aws.errors import is_missing
from latchkey.errors import Conflict
from latchkey.place import Place
from latchkey.systems.readers import AssumedRole
from latchkey.systems.system import Configuration, Configured, Handoff, Reading, Resource, SecretShape, System
from latchkey.systems.token_formats import HEXADECIMAL, PASSWORD

if TYPE_CHECKING:
    from mypy_boto3_mediaconnect.client import MediaConnectClient
    from mypy_boto3_mediaconnect.type_defs import FlowTypeDef

PartName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ._-]{1,128}$")]
FlowArn = Annotated[
    str,
    StringConstraints(
        pattern=r"^arn:(aws|aws-cn|aws-us-gov):mediaconnect:[a-z0-9-]+:[0-9]{12}:flow:[A-Za-z0-9-]{1,99}:[A-Za-z0-9 ._-]{1,99}$"
    ),
]


class _Part(NamedTuple):
    """How the API speaks of one kind of part of a flow."""

    listed: str
    arn: str
    encryption: str
    update: str
    type_name: str


_PARTS: Final = MappingProxyType(
    {
        "source": _Part("Sources", "SourceArn", "Decryption", "update_flow_source", "AWS::MediaConnect::FlowSource"),
        "output": _Part("Outputs", "OutputArn", "Encryption", "update_flow_output", "AWS::MediaConnect::FlowOutput"),
        "entitlement": _Part(
            "Entitlements", "EntitlementArn", "Encryption", "update_flow_entitlement", "AWS::MediaConnect::FlowEntitlement"
        ),
    }
)
# Hexadecimal digits of a key: https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-static-key-set-up.html
DIGITS: Final = MappingProxyType({"aes128": 32, "aes192": 48, "aes256": 64})
# What a part must speak for a kind of key to encrypt it; an entitlement speaks nothing.
_PROTOCOLS: Final = MappingProxyType({"static-key": "zixi", "srt-password": "srt"})


class FlowPart(Resource):
    """A source, output or entitlement, by its name, of a flow that exists; `algorithm` belongs to a static key.

    https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-static-key.html
    https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-srt-password-set-up.html
    """

    kind: ClassVar[str] = "flow"

    flow_arn: FlowArn
    source: PartName | None = None
    output: PartName | None = None
    entitlement: PartName | None = None
    key_type: Literal["static-key", "srt-password"] = "static-key"
    algorithm: Literal["aes128", "aes192", "aes256"] | None = None

    @model_validator(mode="after")
    def _one_part_with_its_key(self) -> Self:
        if sum(name is not None for name in (self.source, self.output, self.entitlement)) != 1:
            raise PydanticCustomError("one_of", "must hold exactly one of source, output, entitlement")
        if (self.key_type == "static-key") != (self.algorithm is not None):
            raise PydanticCustomError("one_of", "must hold algorithm with keyType static-key, and only then")
        if self.key_type == "srt-password" and self.entitlement is not None:
            raise PydanticCustomError("one_of", "must have keyType static-key for an entitlement")
        return self

    @property
    def part(self) -> tuple[str, str]:
        """The kind of the part and its name."""
        named = {"source": self.source, "output": self.output, "entitlement": self.entitlement}
        return next((kind, name) for kind, name in named.items() if name is not None)

    @property
    def name(self) -> str:
        *_, flow_id, flow_name = self.flow_arn.split(":")
        return "/".join((flow_id, flow_name, *self.part))

    def wrong_location(self, place: Place) -> dict[str, str]:
        here = self.flow_arn.startswith(place.arn("mediaconnect", "flow:"))
        return {} if here else {"flowArn": f"must be a flow of account {place.account} in {place.region}"}


class FlowParts(Configuration):
    """Parts of flows over MediaConnect's API, whose updates keep what they leave out."""

    service = "mediaconnect"
    our_settings = frozenset(["encryption"])
    role_not_ready_errors = frozenset(["BadRequestException"])

    def wanted(self, resource: FlowPart, reading: Reading) -> dict[str, str]:
        wanted = {"keyType": resource.key_type, "roleArn": reading.role_arn or "", "secretArn": reading.secret_arn}
        return wanted | ({"algorithm": resource.algorithm} if resource.algorithm else {})

    def read(self, client: MediaConnectClient, resource: FlowPart) -> Configured | None:
        kind, name = resource.part
        part = _PARTS[kind]
        flow = _flow(client, resource.flow_arn)
        found = next((one for one in _listed(flow, part) if one.get("Name") == name), None) if flow else None
        if found is None:
            return None
        encryption = found.get(part.encryption) or {}
        key_type = encryption.get("KeyType", "static-key")
        settings = {
            "keyType": key_type,
            "roleArn": encryption.get("RoleArn", ""),
            "secretArn": encryption.get("SecretArn", ""),
            # An SRT password needs none, and an earlier one may have stayed.
            **({"algorithm": encryption["Algorithm"]} if key_type == "static-key" and "Algorithm" in encryption else {}),
        }
        names = {"FlowArn": resource.flow_arn, part.arn: found[part.arn]}
        protocol = {"protocol": (found.get("Transport") or {}).get("Protocol", "")}
        whole = {"part": kind, "names": names, "encryption": encryption}
        return Configured(found[part.arn], settings, encryption.get("SecretArn"), names | protocol, whole, {})

    def update(self, client: MediaConnectClient, resource: FlowPart, reading: Reading, present: Configured) -> None:
        kind, _ = resource.part
        names = {member: value for member, value in present.other_settings.items() if member != "protocol"}
        _set(client, kind, names, _encryption(resource, reading))

    def restore(self, client: MediaConnectClient, whole: Mapping[str, Any]) -> None:
        if not whole["encryption"]:
            told = f"{whole['names'][_PARTS[whole['part']].arn]} was not encrypted before, and no call of MediaConnect takes"
            raise Conflict(f"{told} encryption away: remove the {whole['part']}, and the rest is taken back")
        _set(client, whole["part"], whole["names"], whole["encryption"])

    def consent_target(self, client: MediaConnectClient, present: Configured) -> tuple[str, Mapping[str, str]]:
        arn = present.other_settings["FlowArn"]
        return arn, client.list_tags_for_resource(ResourceArn=arn).get("Tags", {})

    def unsupported_reasons(self, resource: FlowPart, present: Configured) -> Iterator[str]:
        protocol, needed = present.other_settings["protocol"], _PROTOCOLS[resource.key_type]
        if protocol and not protocol.startswith(needed):
            yield f"it speaks {protocol}, and MediaConnect encrypts with {resource.key_type} only what speaks {needed}"


def _flow(client: MediaConnectClient, arn: str) -> FlowTypeDef | None:
    """The flow of exactly this ARN, whose last part is a name."""
    try:
        flow = client.describe_flow(FlowArn=arn)["Flow"]
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return flow if flow["FlowArn"] == arn else None


def _listed(flow: Mapping[str, Any], part: _Part) -> list[dict[str, Any]]:
    """A flow with one source tells it by itself."""
    several: list[dict[str, Any]] = flow.get(part.listed) or []
    return several or ([flow["Source"]] if part.listed == "Sources" and "Source" in flow else [])


def _set(client: Any, kind: str, names: Mapping[str, str], encryption: Mapping[str, str]) -> None:
    part = _PARTS[kind]
    getattr(client, part.update)(**names, **{part.encryption: encryption})


def _encryption(resource: FlowPart, reading: Reading) -> dict[str, str]:
    encryption = {"KeyType": resource.key_type, "RoleArn": reading.role_arn or "", "SecretArn": reading.secret_arn}
    return encryption | ({"Algorithm": resource.algorithm} if resource.algorithm else {})


def _secret(resource: FlowPart) -> SecretShape:
    """The value stands alone, as plain text."""
    if resource.algorithm is None:
        return SecretShape(10, 80, format=PASSWORD)
    digits = DIGITS[resource.algorithm]
    return SecretShape(digits, digits, format=HEXADECIMAL)


def _handoff(resource: FlowPart, reading: Reading | None, _key_arn: str, _place: Place) -> Handoff:
    kind, name = resource.part
    part, encryption = _PARTS[kind], _encryption(resource, reading or Reading(""))
    properties = {"FlowArn": resource.flow_arn, "Name": name, part.encryption: encryption}
    return Handoff(
        values={"FlowArn": resource.flow_arn, kind: name, **encryption},
        steps=(
            f"Set {part.encryption} of the {kind} to these values; whoever does so needs iam:PassRole for the role.",
            "Give everybody who sends or receives this stream the same key, each in an account and a Region of their own.",
        ),
        cloudFormation={"Part": {"Type": part.type_name, "Properties": properties}},
    )


MEDIACONNECT = System(
    name="mediaconnect",
    resource=FlowPart,
    # Beside these four the guide names nothing of KMS, which a customer managed key needs:
    # https://docs.aws.amazon.com/mediaconnect/latest/ug/iam-policy-examples-asm-secrets.html
    reader=AssumedRole(
        service="mediaconnect",
        secret_actions=(
            "secretsmanager:DescribeSecret",
            "secretsmanager:GetResourcePolicy",
            "secretsmanager:GetSecretValue",
            "secretsmanager:ListSecretVersionIds",
        ),
    ),
    secret=_secret,
    configuration=FlowParts(),
    handoff=_handoff,
    documents=(
        "https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-static-key-set-up.html",
        "https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-srt-password-set-up.html",
    ),
)
