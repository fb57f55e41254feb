"""AWS Elemental MediaConnect: static key or SRT password encryption of a flow's source, output or entitlement."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self

from botocore.exceptions import ClientError
from pydantic import model_validator
from pydantic_core import PydanticCustomError

from latchkey.aws.errors import is_missing, status_of
from latchkey.aws.pages import read_pages
from latchkey.aws.planned_media import Answer, Effect, ShownResource
from latchkey.aws.rates import Quota
from latchkey.errors import Conflict
from latchkey.formats import PARTITION, Format, around, other_arns
from latchkey.place import Place
from latchkey.systems.readers import AssumedRole
from latchkey.systems.shapes import accepted
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
from latchkey.systems.token_formats import HEXADECIMAL, LONGEST_PASSPHRASE, PASSWORD

if TYPE_CHECKING:
    from mypy_boto3_mediaconnect.client import MediaConnectClient
    from mypy_boto3_mediaconnect.type_defs import FlowTypeDef

_IN_MEDIACONNECT = rf"arn:{PARTITION}:mediaconnect:[a-z0-9-]+:[0-9]{{12}}:"
_FLOW_FORM = "arn:aws:mediaconnect:<Region>:<account>:flow:<ID>:<name>"
_FLOW = Format(
    rf"^{_IN_MEDIACONNECT}flow:[A-Za-z0-9-]{{1,99}}:.+$",
    "arn:aws:mediaconnect:us-east-1:111122223333:flow:1-23aBC45dEF67hiJ8-12AbC34DE5fG:sports",
    (
        *around("ARN of the flow"),
        (
            rf"{_IN_MEDIACONNECT}(?P<part>source|output|entitlement):.*",
            f"is the ARN of a part: give {_FLOW_FORM}, and the name of the part in resource.{{part}}",
        ),
        *other_arns("mediaconnect", "flow", _FLOW_FORM),
    ),
    f"is not an ARN: give the ARN of the flow, {_FLOW_FORM}",
)
# The model of the API has neither a pattern nor a length for the names of flows and their parts. Their ARNs end in the name,
# and the patterns of ARNs in the model exclude only line breaks.
_FLOW_PART = Format(
    "^.+$", "main", (("", "is empty: give the name"),), "has a line break: give the name that DescribeFlow returns"
)
PartName = Annotated[str, _FLOW_PART]
FlowArn = Annotated[str, _FLOW]
# The longest name of a resource, so that an access ID fits into a tag.
_LONGEST_NAME: Final = 256 - len("mediaconnect/flow/")


class _Part(NamedTuple):
    """The API names for one kind of part: list member, ARN member, encryption member, update method, CloudFormation type.

    A source can be updated while its flow is active, unless the source is entitled. Outputs can be, too, and for entitlements
    no restriction is documented:
    https://docs.aws.amazon.com/mediaconnect/latest/ug/source-update.html
    https://docs.aws.amazon.com/mediaconnect/latest/ug/outputs-update.html
    https://docs.aws.amazon.com/mediaconnect/latest/ug/entitlements-update.html
    """

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
# The number of hexadecimal digits of a key: https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-static-key-set-up.html
DIGITS: Final = MappingProxyType({"aes128": 32, "aes192": 48, "aes256": 64})
# The status of a flow after StopFlow: https://docs.aws.amazon.com/mediaconnect/latest/ug/flows-stop.html
STOPPED: Final = "STANDBY"
# The key type of an encryption that names none.
_STATIC_KEY: Final = "static-key"
# The beginning of the protocol that each key type requires. An entitlement has no protocol. Other key types use no secret.
_PROTOCOLS: Final = MappingProxyType({"static-key": "zixi", "srt-password": "srt"})


class FlowPart(Resource):
    """A source, output or entitlement of an existing flow, by its name. `algorithm` is for `keyType` static-key only.

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
            raise PydanticCustomError("one_of", "must contain exactly one of source, output, entitlement")
        if (self.key_type == "static-key") != (self.algorithm is not None):
            raise PydanticCustomError("one_of", "must contain algorithm if keyType is static-key, and only then")
        if self.key_type == "srt-password" and self.entitlement is not None:
            raise PydanticCustomError("one_of", "must have keyType static-key: an entitlement cannot use an SRT password")
        return self

    @property
    def part(self) -> tuple[str, str]:
        """The kind and the name of the part."""
        named = {"source": self.source, "output": self.output, "entitlement": self.entitlement}
        return next((kind, name) for kind, name in named.items() if name is not None)

    @property
    def name(self) -> str:
        return _name_of(self.flow_arn, *self.part)

    def wrong_location(self, place: Place) -> dict[str, str]:
        here = self.flow_arn.startswith(place.arn("mediaconnect", "flow:"))
        return {} if here else {"flowArn": f"must be the ARN of a flow in account {place.account} and Region {place.region}"}


def _name_of(flow_arn: str, kind: str, part: str) -> str:
    """The name of a part in access IDs."""
    *_, flow_id, flow_name = flow_arn.split(":", 7)
    name = "/".join((flow_id, _plain(flow_name), kind, _plain(part)))
    if len(name) <= _LONGEST_NAME:
        return name
    # A plain name never contains two equals signs in a row.
    unique = f"=={hashlib.sha256(name.encode()).hexdigest()[:32]}"
    return f"{name[: _LONGEST_NAME - len(unique)]}{unique}"


def _encrypting(part: _Part) -> Effect:
    """An update after which a part of a flow has the given encryption. Nothing else of a flow is read again in a plan."""

    def update(found: Answer, given: Mapping[str, Any], _place: Place) -> Answer:
        for one in _listed(found["Flow"], part):
            if one[part.arn] == given[part.arn]:
                one[part.encryption] = given[part.encryption]
        return found

    return update


_EFFECTS: Final[Mapping[str, Effect]] = MappingProxyType(
    {"".join(word.capitalize() for word in part.update.split("_")): _encrypting(part) for part in _PARTS.values()}
)


class FlowParts(Configuration):
    """Parts of flows. An update may clear the settings that it omits, so it contains everything that it accepts."""

    service = "mediaconnect"
    # https://docs.aws.amazon.com/mediaconnect/latest/ug/quotas.html
    quotas = (Quota("mediaconnect", "mediaconnect", 5, 12),)
    our_settings = frozenset(["encryption"])
    role_not_ready_errors = frozenset(["BadRequestException"])
    shown = ShownResource("DescribeFlow", ("FlowArn",), _EFFECTS, is_named=False)
    # An update that omits the encryption keeps it, and no other call removes it.
    can_be_removed = False

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
        key_type = encryption.get("KeyType", _STATIC_KEY)
        settings = {
            "keyType": key_type,
            "roleArn": encryption.get("RoleArn", ""),
            "secretArn": encryption.get("SecretArn", ""),
            # An SRT password has no algorithm, but the API can still return an earlier one.
            **({"algorithm": encryption["Algorithm"]} if key_type == _STATIC_KEY and "Algorithm" in encryption else {}),
        }
        names = {"FlowArn": resource.flow_arn, part.arn: found[part.arn]}
        update = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[part.update])
        # DescribeFlow returns some members in Transport. The update takes them at the top level.
        others: dict[str, Any] = accepted(update.input_shape, (found.get("Transport") or {}) | found)
        others = {member: value for member, value in others.items() if member not in (part.arn, part.encryption)}
        status = flow["Status"] if flow and kind == "source" and "EntitlementArn" in others else None
        return Configured(
            arn=found[part.arn],
            settings=settings,
            secret_arn=encryption.get("SecretArn"),
            other_settings={"names": names, "settings": others, "entitledWhile": status},
            full_settings={"part": kind, "names": names, "settings": others, "encryption": encryption},
            tags={},
            authentication="" if key_type in _PROTOCOLS else key_type,
        )

    def discovered(self, client: MediaConnectClient) -> Iterator[dict[str, Any]]:
        """Every part of every flow that is encrypted with a secret. Only DescribeFlow returns the encryption."""
        for arn in (one["FlowArn"] for page in read_pages(client.list_flows) for one in page.get("Flows", [])):
            flow: Mapping[str, Any] = _flow(client, arn) or {}
            for kind, part in _PARTS.items():
                for one in _listed(flow, part):
                    encryption = one.get(part.encryption) or {}
                    key_type = encryption.get("KeyType", _STATIC_KEY)
                    if "SecretArn" in encryption and key_type in _PROTOCOLS:
                        algorithm = {"algorithm": encryption.get("Algorithm")} if key_type == _STATIC_KEY else {}
                        yield {"flowArn": arn, kind: one.get("Name"), "keyType": key_type} | algorithm

    def update(self, client: MediaConnectClient, resource: FlowPart, reading: Reading, present: Configured) -> None:
        kind, _ = resource.part
        others = present.other_settings
        _set(client, kind, others["names"] | others["settings"], _encryption(resource, reading))

    def restore(self, client: MediaConnectClient, full_settings: Mapping[str, Any]) -> None:
        kind, names, encryption = full_settings["part"], full_settings["names"], full_settings["encryption"]
        # Version 0.1.0 recorded the encryption only.
        others = full_settings.get("settings", {})
        if not encryption:
            arn = names[_PARTS[kind].arn]
            raise Conflict(
                f"{arn} was not encrypted before, and MediaConnect has no API that removes encryption: "
                f"remove the {kind}, and the rollback continues"
            )
        try:
            _set(client, kind, names | others, encryption)
        except ClientError as error:
            is_entitled = kind == "source" and "EntitlementArn" in others
            status = _status(client, names["FlowArn"]) if is_entitled and status_of(error) == 400 else STOPPED
            if status == STOPPED:
                raise
            rule = f"{names['SourceArn']} is an entitled source, and the status of its flow is {status}"
            raise Conflict(f"{rule}: stop the flow, and the rollback continues") from None

    def steps_without_api(self, resource: FlowPart) -> tuple[str, ...]:
        kind, name = resource.part
        return (f"Remove the {kind} {name} from the flow, or encrypt it with another key.",)

    def consent_target(self, client: MediaConnectClient, present: Configured) -> tuple[str, Mapping[str, str]]:
        arn = present.other_settings["names"]["FlowArn"]
        return arn, client.list_tags_for_resource(ResourceArn=arn).get("Tags", {})

    def unsupported_reasons(self, resource: FlowPart, present: Configured) -> Iterator[str]:
        protocol, needed = present.other_settings["settings"].get("Protocol", ""), _PROTOCOLS[resource.key_type]
        if protocol and not protocol.startswith(needed):
            rule = f"uses the protocol {protocol}, but keyType {resource.key_type} requires {needed}"
            yield f"{rule}: change the protocol or the keyType"

    def refused_updates(self, present: Configured) -> Iterator[str]:
        """MediaConnect updates an entitled source only while its flow is stopped.

        https://docs.aws.amazon.com/mediaconnect/latest/ug/source-update.html
        """
        status = present.other_settings["entitledWhile"]
        if status not in (None, STOPPED):
            rule = f"is an entitled source, which can be updated only while its flow is stopped, and the flow is {status}"
            yield f"{rule}: stop the flow, send the request again, and start the flow when the request has succeeded"


def _flow(client: MediaConnectClient, arn: str) -> FlowTypeDef | None:
    """The flow with exactly this ARN, or None. Its last part is a name, so the ARN of the found flow is compared."""
    try:
        flow = client.describe_flow(FlowArn=arn)["Flow"]
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return flow if flow["FlowArn"] == arn else None


def _listed(flow: Mapping[str, Any], part: _Part) -> list[dict[str, Any]]:
    """The parts of one kind. For a flow with one source, the API returns `Source` instead of `Sources`."""
    several: list[dict[str, Any]] = flow.get(part.listed) or []
    return several or ([flow["Source"]] if part.listed == "Sources" and "Source" in flow else [])


def _status(client: MediaConnectClient, flow_arn: str) -> str:
    """The status of the flow. A flow that does not exist is not active."""
    flow = _flow(client, flow_arn)
    return flow["Status"] if flow else STOPPED


def _plain(name: str) -> str:
    """The name in characters that tags and secret names can contain: others become the hexadecimal digits of their bytes."""
    return re.sub(r"[^A-Za-z0-9 ._-]", lambda one: "".join(f"={byte:02X}" for byte in one[0].encode()), name)


def _set(client: Any, kind: str, settings: Mapping[str, Any], encryption: Mapping[str, str]) -> None:
    part = _PARTS[kind]
    getattr(client, part.update)(**settings, **{part.encryption: encryption})


def _encryption(resource: FlowPart, reading: Reading) -> dict[str, str]:
    encryption = {"KeyType": resource.key_type, "RoleArn": reading.role_arn or "", "SecretArn": reading.secret_arn}
    return encryption | ({"Algorithm": resource.algorithm} if resource.algorithm else {})


def _secret(resource: FlowPart) -> SecretShape:
    """The value is the token alone, as plain text."""
    if resource.algorithm is None:
        # SRT takes 10 to 79 bytes, although the guide recommends up to 80 for a new password. AWS documents it for MediaLive:
        # https://docs.aws.amazon.com/medialive/latest/ug/input-listener-srt-prereqs.html
        return SecretShape(10, LONGEST_PASSPHRASE, format=PASSWORD, former_maximum=80)
    digits = DIGITS[resource.algorithm]
    return SecretShape(digits, digits, format=HEXADECIMAL)


# Those at the other end of each kind of part. Without the key, they cannot decrypt what an output or entitlement sends, and a
# source cannot decrypt what they send: https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-static-key.html
_COUNTERPARTS: Final = MappingProxyType(
    {"source": "the sender", "output": "the receivers", "entitlement": "the subscribers of the entitlement"}
)


def _who(resource: FlowPart) -> str:
    return _COUNTERPARTS[resource.part[0]]


def _preparation(resource: FlowPart) -> str:
    kind, name = resource.part
    encrypts = kind == "source"
    return (
        f"Give the key to {_who(resource)}. Each one stores it in its own account and Region, and prepares to "
        f"{'encrypt' if encrypts else 'decrypt'} with it when you send the confirmation. From then on, the {kind} {name} "
        f"{'accepts only an encrypted stream' if encrypts else 'sends an encrypted stream'}."
    )


def _switch(resource: FlowPart) -> str:
    kind, name = resource.part
    verb = "encrypt" if kind == "source" else "decrypt"
    return (
        f"Give the new key to {_who(resource)}. Each one stores it in its own account and Region, and must {verb} with it. "
        f"Until then, the stream of the {kind} {name} is interrupted."
    )


def _handoff(resource: FlowPart, reading: Reading | None, _key_arn: str, _place: Place) -> Handoff:
    kind, name = resource.part
    part, encryption = _PARTS[kind], _encryption(resource, reading or Reading(""))
    stop = "Stop the flow first if the source is entitled. " if kind == "source" else ""
    properties = {"FlowArn": resource.flow_arn, "Name": name, part.encryption: encryption}
    return Handoff(
        values={"FlowArn": resource.flow_arn, kind: name, **encryption},
        steps=(
            f"{stop}Set {part.encryption} of the {kind} to these values. "
            "The principal that sets it needs iam:PassRole for the role.",
            "Give the same key to every sender and receiver of this stream. Each one stores it in its own account and Region.",
        ),
        cloudFormation={"Part": {"Type": part.type_name, "Properties": properties}},
    )


MEDIACONNECT = System(
    name="mediaconnect",
    resource=FlowPart,
    # The guide lists these four actions. It does not list kms:Decrypt, which a customer managed key requires:
    # https://docs.aws.amazon.com/mediaconnect/latest/ug/iam-policy-examples-asm-secrets.html
    reader=AssumedRole(
        service="mediaconnect",
        secret_actions=(
            "secretsmanager:DescribeSecret",
            "secretsmanager:GetResourcePolicy",
            "secretsmanager:GetSecretValue",
            "secretsmanager:ListSecretVersionIds",
        ),
        # https://docs.aws.amazon.com/mediaconnect/latest/ug/cross-service-confused-deputy-prevention.html
        sends_account=True,
    ),
    secret=_secret,
    configuration=FlowParts(),
    handoff=_handoff,
    counterpart=Counterpart(who=_who, preparation=_preparation),
    # Both ends use one key at a time. When a flow reads a changed secret is not documented, so its settings are sent again:
    # https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-static-key-key-management.html
    rotation=Rotation(after=_switch, interrupts=True, needs_update=True),
    documents=(
        "https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-static-key-set-up.html",
        "https://docs.aws.amazon.com/mediaconnect/latest/ug/encryption-srt-password-set-up.html",
    ),
)
