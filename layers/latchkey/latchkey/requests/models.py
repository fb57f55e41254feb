"""What may be asked: frozen models of the requests, and all errors of a request at once, without any value in them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self, TypeIs

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from latchkey.systems import SYSTEMS
from latchkey.systems.system import Resource, SecretShape
from latchkey.wire import JsonKey, KeyArn, PrincipalArn, RoleArn, SecretArn, WireModel

ONBOARDING_REQUESTED = "Onboarding Requested"
HANDOFF_CONFIRMED = "Handoff Confirmed"
RECONCILIATION_REQUESTED = "Reconciliation Requested"  # which the sweep takes
KINDS = (HANDOFF_CONFIRMED, ONBOARDING_REQUESTED, RECONCILIATION_REQUESTED)
NO_TOKEN_HERE = (
    "a token has no place in a request: import it with copyFrom or adopt its secret with existing; "
    "if this was a token, it has been on the bus and must be replaced"
)
SOUNDS_SECRET = re.compile(r"token|secret|passw|credential|api-?_?key", re.IGNORECASE)
# A JSON array becomes a tuple, which is no looseness; what it holds stays strict.
Several = Field(strict=False, max_length=50)
NOTHING_HANDED_OFF = "nothing is recorded of this access: onboard it first"
_REQUEST_ID = r"^[A-Za-z0-9._:-]{1,128}$"
RequestId = Annotated[str, StringConstraints(pattern=_REQUEST_ID)]


def is_request_id(value: object) -> TypeIs[str]:
    """May this text stand in logs and names as the id of a request?"""
    return isinstance(value, str) and bool(re.fullmatch(_REQUEST_ID, value))


def _not_like_a_suffix(value: str) -> str:
    if re.search(r"-[A-Za-z0-9]{6}$", value):
        raise PydanticCustomError(
            "suffix", "must not end with a hyphen and six characters: Secrets Manager takes that for the end of an ARN"
        )
    return value


def _not_reserved(value: str) -> str:
    if value.startswith("alias/aws/"):
        raise PydanticCustomError("reserved", "must not begin with alias/aws/, which is reserved for AWS managed keys")
    return value


def _within_the_system(value: int | None, info: ValidationInfo) -> int | None:
    shape: SecretShape | None = (info.context or {}).get("shape")
    if value is None or shape is None:
        return value
    low, high = shape.generated
    if not low <= value <= high:
        rule = "must be {low}" if low == high else "must be between {low} and {high}"
        raise PydanticCustomError("length", rule, {"low": low, "high": high})
    return value


def _own_tags(value: dict[str, str]) -> dict[str, str]:
    if any(key.lower().startswith(("latchkey:", "aws:")) for key in value):
        raise PydanticCustomError("reserved", "keys must not begin with latchkey: or aws:")
    if any(SOUNDS_SECRET.search(key) for key in value):
        raise PydanticCustomError("token", "{rule}", {"rule": NO_TOKEN_HERE})
    if len({key.lower() for key in value}) < len(value):
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
        raise PydanticCustomError("case", "keys must differ by more than case, which IAM ignores")
    return value


SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_+=.@-]{1,505}$"), AfterValidator(_not_like_a_suffix)]
AliasName = Annotated[str, StringConstraints(pattern=r"^alias/[A-Za-z0-9/_-]{1,250}$"), AfterValidator(_not_reserved)]
TagKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 _.:/=+@-]{1,128}$")]
TagValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 _.:/=+@-]{0,256}$")]
# An access id is the value of a tag: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_LONGEST_ACCESS_ID = 256


class Generate(WireModel):
    """A token made in the memory of one function; `length` in characters, within the system's bounds; it has a usual one."""

    length: Annotated[int | None, AfterValidator(_within_the_system)] = None


class CopyFrom(WireModel):
    """A token read once from another secret, also of another Region; `key` picks a member if that secret is JSON."""

    secret_arn: SecretArn
    key: JsonKey | None = None


class Existing(WireModel):
    """A secret that is there already and is used as it is."""

    secret_arn: SecretArn


class SecretValue(WireModel):
    """Exactly one of three ways to come by a token; none of them carries it."""

    generate: Generate | None = None
    copy_from: CopyFrom | None = None
    existing: Existing | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(way is not None for way in (self.generate, self.copy_from, self.existing)) != 1:
            raise PydanticCustomError("one_of", "must hold exactly one of generate, copyFrom, existing")
        return self

    @property
    def source_arn(self) -> str | None:
        """The secret that holds the value already, if there is one."""
        source = self.copy_from or self.existing
        return source.secret_arn if source else None


class SecretRequest(WireModel):
    """The secret: its name, where its value comes from, and the roles by which the origin learns it.

    `replacesToken` consents to a new token on a resource that already sends one, `moveKey` to taking an adopted secret
    from another customer managed key.
    """

    name: SecretName | None = None
    value: SecretValue = SecretValue(generate=Generate())
    origin_readers: Annotated[tuple[RoleArn, ...], Several] = ()
    replaces_token: bool = False
    move_key: bool = False

    @model_validator(mode="after")
    def _name_is_for_new_secrets(self) -> Self:
        if self.name is not None and self.value.existing is not None:
            raise PydanticCustomError("one_of", "an existing secret keeps its name: leave out name")
        return self


class KeyRequest(WireModel):
    """The customer managed key: found or created by its alias, or adopted by its ARN.

    `rotationDays` is the period of automatic rotation in days, 90 to 2560.
    https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
    """

    alias: AliasName | None = None
    arn: KeyArn | None = None
    rotation_days: Annotated[int, Field(ge=90, le=2560)] = 365
    administrators: Annotated[tuple[PrincipalArn, ...], Several] = ()
    users: Annotated[tuple[PrincipalArn, ...], Several] = ()
    allow_deletion: bool = False

    @model_validator(mode="after")
    def _alias_or_arn(self) -> Self:
        beside = self.model_dump(exclude={"arn"}) != KeyRequest.model_construct().model_dump(exclude={"arn"})
        if self.arn is not None and beside:
            raise PydanticCustomError("one_of", "a key given by arn keeps its own settings: give nothing beside arn")
        return self


class OnboardingRequest[R: Resource](WireModel):
    """The detail of an `Onboarding Requested` event, complete with its request id."""

    version: Literal["1"] = "1"
    request_id: RequestId
    mode: Literal["apply"] = "apply"
    system: str
    resource: R
    secret: SecretRequest = SecretRequest()
    key: KeyRequest = KeyRequest()
    management_roles: Annotated[tuple[RoleArn, ...], Several] = ()
    tags: Annotated[dict[TagKey, TagValue], Field(max_length=40), AfterValidator(_own_tags)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _asks_for_what_the_system_knows(self) -> Self:
        system = SYSTEMS.get(self.system)
        if system is None:
            return self
        if system.secret is None and "secret" in self.model_fields_set:
            raise PydanticCustomError("system", "must leave out secret: {system} reads none", {"system": system.name})
        if not system.reader.knows_managers and self.management_roles:
            rule = "must leave out managementRoles: whoever configures {system} needs nothing of key and secret"
            raise PydanticCustomError("system", rule, {"system": system.name})
        if len(self.access_id) > _LONGEST_ACCESS_ID:
            rule = "must make an access id of at most {longest} characters: <system>/<kind>/<names of the resource>"
            raise PydanticCustomError("names", rule, {"longest": _LONGEST_ACCESS_ID})
        return self

    @property
    def wire(self) -> dict[str, Any]:
        """The request as it was sent."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @property
    def access_id(self) -> str:
        """`<system>/<kind>/<name>`: the unit of request, of record and of repair."""
        return f"{self.system}/{self.resource.kind}/{self.resource.name}"

    @property
    def principals(self) -> dict[str, tuple[str, ...]]:
        """Whom the request names, by the places where it does."""
        return {
            "managementRoles": self.management_roles,
            "secret.originReaders": self.secret.origin_readers,
            "key.administrators": self.key.administrators,
            "key.users": self.key.users,
        }


class HandoffConfirmed(WireModel):
    """The detail of a `Handoff Confirmed` event: the owner of a resource says that it is set as an outcome asked."""

    version: Literal["1"] = "1"
    request_id: RequestId
    access_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ._/-]{1,1024}$")]
