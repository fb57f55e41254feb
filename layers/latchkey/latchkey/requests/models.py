"""Models of the requests. Their validation errors never contain a value of the request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Protocol, Self, TypeIs

from pydantic import AfterValidator, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from latchkey import formats
from latchkey.formats import named
from latchkey.systems import SYSTEMS
from latchkey.systems.system import Resource, SecretShape, System
from latchkey.wire import JsonKey, KeyArn, PrincipalArn, RoleArn, SecretArn, WireModel

ONBOARDING_REQUESTED = "Onboarding Requested"
HANDOFF_CONFIRMED = "Handoff Confirmed"
RECONCILIATION_REQUESTED = "Reconciliation Requested"
NO_TOKEN_HERE = (
    "requests must not contain tokens: import the token with copyFrom, or adopt its secret with existing. "
    "If you sent a token, replace it, because everyone who can read the bus could read it"
)
SOUNDS_SECRET = re.compile(r"token|secret|passw|credential|api-?_?key", re.IGNORECASE)
# Not strict, so that a JSON array becomes a tuple. Its items stay strict.
Several = Field(strict=False, max_length=50)
NOTHING_HANDED_OFF = "is not a recorded access: onboard it first"
_LONGEST_REQUEST_ID = 128
RequestId = Annotated[
    str, named("request ID", "A-Za-z0-9._:-", "letters, digits, dots, underscores, colons and hyphens", _LONGEST_REQUEST_ID)
]


Mode = Literal["apply", "plan"]
# What a reconciliation does about a finding: it only reports it, or it repairs the access.
RemediationMode = Literal["audit", "repair"]
PlanHash = Annotated[str, formats.PLAN_HASH]
# The members that say how a request is carried out, and not what it asks for.
_OF_A_PLAN = ("mode", "planHash")


def is_request_id(value: object) -> TypeIs[str]:
    """Whether a value is a valid request ID, which is safe in logs and names."""
    return isinstance(value, str) and bool(re.fullmatch(rf"[A-Za-z0-9._:-]{{1,{_LONGEST_REQUEST_ID}}}", value))


def _not_like_a_suffix(value: str) -> str:
    if re.search(r"-[A-Za-z0-9]{6}$", value):
        raise PydanticCustomError(
            "suffix", "must not end with a hyphen and six characters, because Secrets Manager adds such a suffix to ARNs"
        )
    return value


def _not_reserved(value: str) -> str:
    if value.startswith("alias/aws/"):
        rule = "must not name an AWS managed key, whose policy nobody can change: leave out key.alias, or choose another"
        raise PydanticCustomError("reserved", rule)
    return value


def _within_the_system(value: int | None, info: ValidationInfo) -> int | None:
    context = info.context or {}
    shape: SecretShape | None = context.get("shape")
    if value is None or shape is None:
        return value
    low, high = shape.generated
    high = high if context["is_new"] else max(high, shape.former_maximum)
    if not low <= value <= high:
        rule = "must be {low} for this system" if low == high else "must be between {low} and {high} for this system"
        raise PydanticCustomError("length", rule, {"low": low, "high": high})
    return value


def _own_tags(value: dict[str, str]) -> dict[str, str]:
    if any(key.lower().startswith(("latchkey:", "aws:")) for key in value):
        raise PydanticCustomError("reserved", "must not have keys that begin with latchkey: or aws:")
    if any(SOUNDS_SECRET.search(key) for key in value):
        raise PydanticCustomError("token", "{rule}", {"rule": NO_TOKEN_HERE})
    if len({key.lower() for key in value}) < len(value):
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
        raise PydanticCustomError("case", "must not have keys that differ only in case, because IAM ignores case")
    return value


SecretName = Annotated[
    str,
    named("name of the secret", "A-Za-z0-9/_+=.@-", "letters, digits and / _ + = . @ -", 505),
    AfterValidator(_not_like_a_suffix),
]
AliasName = Annotated[str, formats.ALIAS, AfterValidator(_not_reserved)]
_IN_TAGS = ("A-Za-z0-9 _.:/=+@-", "letters, digits, spaces and _ . : / = + @ -")
TagKey = Annotated[str, named("key of the tag", *_IN_TAGS, 128)]
TagValue = Annotated[str, named("value of the tag", *_IN_TAGS, 256, shortest=0)]
# An access ID is used as the value of a tag: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_LONGEST_ACCESS_ID = 256


class _HasPlan(Protocol):
    @property
    def mode(self) -> str: ...
    @property
    def plan_hash(self) -> str | None: ...


def content_of(wire: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a request that it has in common with its plan."""
    return {name: value for name, value in wire.items() if name not in (*_OF_A_PLAN, "requestId")}


def plan_or_hash[Request: _HasPlan](request: Request) -> Request:
    """The request, unless it asks for a plan and follows one at the same time."""
    if request.mode == "plan" and request.plan_hash is not None:
        raise PydanticCustomError("one_of", "must not contain planHash if mode is plan: remove one of them")
    return request


class Generate(WireModel):
    """Generates a new random token. `length` is its number of characters; each system has bounds and a default."""

    length: Annotated[int | None, AfterValidator(_within_the_system)] = None


class CopyFrom(WireModel):
    """Copies the token from another secret once, from any Region. If that secret is JSON, `key` is the member to copy."""

    secret_arn: SecretArn
    key: JsonKey | None = None


class Existing(WireModel):
    """Adopts an existing secret with its present value."""

    secret_arn: SecretArn


class SecretValue(WireModel):
    """The source of the token. Specify exactly one member; a request never contains the token itself."""

    generate: Generate | None = None
    copy_from: CopyFrom | None = None
    existing: Existing | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(way is not None for way in (self.generate, self.copy_from, self.existing)) != 1:
            raise PydanticCustomError("one_of", "must contain exactly one of generate, copyFrom, existing")
        return self

    @property
    def source_arn(self) -> str | None:
        """The ARN of the secret that already contains the value, or None for a generated value."""
        source = self.copy_from or self.existing
        return source.secret_arn if source else None


class SecretRequest(WireModel):
    """The secret: its name, the source of its value, and the roles with which the origin reads it.

    Set `replacesToken` to true to replace the token of a resource that already uses one, or another way to authenticate. Set
    `moveKey` to true to move an adopted secret from another customer managed key to the key of this request. Set `keepsValue`
    to true to keep the value that the secret has now: nothing is copied into it. If the secret no longer exists, a new value
    waits for `Handoff Confirmed`.
    """

    name: SecretName | None = None
    value: SecretValue = SecretValue(generate=Generate())
    origin_readers: Annotated[tuple[RoleArn, ...], Several] = ()
    replaces_token: bool = False
    move_key: bool = False
    keeps_value: bool = False

    @model_validator(mode="after")
    def _name_is_for_new_secrets(self) -> Self:
        if self.name is not None and self.value.existing is not None:
            raise PydanticCustomError("one_of", "must not contain name, because an existing secret keeps its name")
        if self.keeps_value and self.value.existing is not None:
            raise PydanticCustomError("one_of", "must not contain keepsValue, because an existing secret keeps its value")
        return self


class KeyRequest(WireModel):
    """The customer managed key. Specify an alias to find or create the key, or an ARN to adopt an existing key.

    `rotationDays` is the period of automatic rotation in days, from 90 to 2560. A key that Latchkey created, and that no other
    access uses, is changed to it. For any other key, it must be the present period. Set `move` to true to move the secret of an
    active access, and every other access that reads it, from its present key to this one.
    https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
    """

    alias: AliasName | None = None
    arn: KeyArn | None = None
    rotation_days: Annotated[int, Field(ge=90, le=2560)] = 365
    administrators: Annotated[tuple[PrincipalArn, ...], Several] = ()
    users: Annotated[tuple[PrincipalArn, ...], Several] = ()
    allow_deletion: bool = False
    move: bool = False

    @property
    def wanted_rotation_days(self) -> int | None:
        """The rotation period that the request asks for, or None if it does not name one."""
        return self.rotation_days if "rotation_days" in self.model_fields_set else None

    @model_validator(mode="after")
    def _alias_or_arn(self) -> Self:
        of_others = {"arn", "move"}
        has_others = self.model_dump(exclude=of_others) != KeyRequest.model_construct().model_dump(exclude=of_others)
        if self.arn is not None and has_others:
            rule = "can contain only arn and move for an adopted key, which keeps its settings: remove the other members"
            raise PydanticCustomError("one_of", rule)
        return self


class RotationSchedule(WireModel):
    """Rotates the token every `everyDays` days. A rotation that must be confirmed waits for `pendingDays` days."""

    every_days: Annotated[int, Field(ge=1, le=1000)]
    pending_days: Annotated[int, Field(ge=1, le=30)] = 7

    def is_due(self, last: datetime, now: datetime) -> bool:
        """Whether a token that was last rotated at `last` has to be rotated."""
        return last + timedelta(days=self.every_days) <= now


class OnboardingRequest[R: Resource](WireModel):
    """The detail of an `Onboarding Requested` event. `requestId` identifies the request and its outcome.

    A resource that serves without a token now refuses everybody who does not have the new one yet. By default, a request that
    generates the token therefore leaves the resource as it is until `Handoff Confirmed`. Set `takesEffectNow` to true to
    configure it at once, and so to accept the interruption.

    With the mode `plan`, nothing is changed, and the outcome `Access Planned` lists what the request would do. A request
    with the `planHash` of that outcome does exactly that, or is rejected.

    `remediation` decides what a reconciliation does about an access that differs from its request: `audit` reports it, and
    `repair` repairs what Latchkey can repair. By default, the stack parameter RemediationMode decides.
    """

    version: Literal["1"] = "1"
    request_id: RequestId
    mode: Mode = "apply"
    plan_hash: PlanHash | None = None
    system: str
    resource: R
    secret: SecretRequest = SecretRequest()
    key: KeyRequest = KeyRequest()
    management_roles: Annotated[tuple[RoleArn, ...], Several] = ()
    takes_effect_now: bool = False
    rotation: RotationSchedule | None = None
    remediation: RemediationMode | None = None
    tags: Annotated[dict[TagKey, TagValue], Field(max_length=40), AfterValidator(_own_tags)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _plans_or_follows_a_plan(self) -> Self:
        return plan_or_hash(self)

    @model_validator(mode="after")
    def _fits_the_system(self) -> Self:
        system = SYSTEMS.get(self.system)
        if system is None:
            return self
        if system.secret is None and "secret" in self.model_fields_set:
            raise PydanticCustomError(
                "system",
                "must not contain secret, because {system} reads no secret",
                {"system": system.name},
            )
        if system.secret is None and self.key.move:
            rule = "must not contain key.move, because a key of {system} cannot be replaced"
            raise PydanticCustomError("system", rule, {"system": system.name})
        if not system.reader.knows_managers and self.management_roles:
            rule = "must not contain managementRoles, because roles that configure {system} need no access to key and secret"
            raise PydanticCustomError("system", rule, {"system": system.name})
        if self.rotation is not None and (reason := self._unfit_schedule(system)):
            raise PydanticCustomError("system", "must not contain rotation, because {reason}", {"reason": reason})
        if not system.interrupts and "takes_effect_now" in self.model_fields_set:
            rule = "must not contain takesEffectNow, because the configuration of {system} interrupts nobody"
            raise PydanticCustomError("system", rule, {"system": system.name})
        if self.takes_effect_now and self.secret.keeps_value:
            rule = "cannot set both secret.keepsValue and takesEffectNow: remove the one that you do not want"
            raise PydanticCustomError("one_of", rule)
        if len(self.access_id) > _LONGEST_ACCESS_ID:
            rule = "must have an access ID <system>/<kind>/<name> of at most {longest} characters: use a shorter resource name"
            raise PydanticCustomError("names", rule, {"longest": _LONGEST_ACCESS_ID})
        return self

    def _unfit_schedule(self, system: System) -> str | None:
        """Why a token cannot be rotated on a schedule, or None if it can."""
        if system.rotation is None:
            return f"{system.name} reads no secret"
        if system.rotation.interrupts:
            return f"a new token interrupts {system.name}: send Rotation Requested outside of transmissions"
        if self.secret.value.copy_from is not None:
            return "the token is copied from another secret: send Rotation Requested with copyFrom when that secret changes"
        return None

    @property
    def wire(self) -> dict[str, Any]:
        """The JSON document of the request, with only the members that were sent."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @property
    def recorded(self) -> dict[str, Any]:
        """The JSON document without the members that say how it is carried out: what the access fulfills afterwards.

        A restoration repeats it, and must not move the secret again.
        """
        wire = {name: value for name, value in self.wire.items() if name not in _OF_A_PLAN}
        if self.key.move:
            wire["key"] = {name: value for name, value in wire["key"].items() if name != "move"}
        return wire

    @property
    def content(self) -> dict[str, Any]:
        """The JSON document that a request has in common with its plan: all but its ID and how it is carried out."""
        return content_of(self.wire)

    @property
    def plans(self) -> bool:
        """Whether the request only asks what it would do."""
        return self.mode == "plan"

    @property
    def is_planned(self) -> bool:
        """Whether the request makes a plan or follows one."""
        return self.plans or self.plan_hash is not None

    @property
    def access_id(self) -> str:
        """`<system>/<kind>/<name>`."""
        return f"{self.system}/{self.resource.kind}/{self.resource.name}"

    @property
    def principals(self) -> dict[str, tuple[str, ...]]:
        """The ARNs of the principals that the request names, by path."""
        return {
            "managementRoles": self.management_roles,
            "secret.originReaders": self.secret.origin_readers,
            "key.administrators": self.key.administrators,
            "key.users": self.key.users,
        }
