"""What may be asked: frozen models of the requests, and all errors of a request at once, without any value in them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self, TypeIs, cast

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from latchkey.documents import Document, JsonKey, KeyArn, PrincipalArn, RoleArn, SecretArn
from latchkey.errors import InvalidRequest, Problem
from latchkey.systems import SYSTEMS
from latchkey.systems.system import Resource, SecretShape, System

NO_TOKEN_HERE = (
    "a token has no place in a request: import it with copyFrom or adopt its secret with existing; "
    "if this was a token, it has been on the bus and must be replaced"
)
# A member's name that is not the model's stands in an error only if it is shorter than any token put in the wrong place.
_HARMLESS_NAME = re.compile(r"[A-Za-z]{1,7}")
_SOUNDS_SECRET = re.compile(r"token|secret|passw|credential|api-?_?key", re.IGNORECASE)

# pydantic's errors in the words of a sender; what is filled in comes from the model, never from the request.
_RULES = {
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "greater_than_equal": "must be at least {ge}",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "model_type": "must be an object",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "string_type": "must be text",
    "string_unicode": "must be text of whole characters",
    "too_long": "must have at most {max_length} members",
    "tuple_type": "must be a list",
}

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
    if any(_SOUNDS_SECRET.search(key) for key in value):
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


class Generate(Document):
    """A token made in the memory of one function; `length` in characters, within the system's bounds; it has a usual one."""

    length: Annotated[int | None, AfterValidator(_within_the_system)] = None


class CopyFrom(Document):
    """A token read once from another secret, also of another Region; `key` picks a member if that secret is JSON."""

    secret_arn: SecretArn
    key: JsonKey | None = None


class Existing(Document):
    """A secret that is there already and is used as it is."""

    secret_arn: SecretArn


class SecretValue(Document):
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


class SecretRequest(Document):
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


class KeyRequest(Document):
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


class OnboardingRequest[R: Resource](Document):
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


class HandoffConfirmed(Document):
    """The detail of a `Handoff Confirmed` event: the owner of a resource says that it is set as an outcome asked."""

    version: Literal["1"] = "1"
    request_id: RequestId
    access_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ._/-]{1,1024}$")]


class _UnknownSystem(OnboardingRequest[Any]):
    """Lets the other errors of a request be told beside that of its system."""

    resource: dict[str, Any]


# One model for each system: what its schema says and what its errors name is that system's own resource.
ONBOARDING: Mapping[str, type[OnboardingRequest[Any]]] = {
    name: cast("type[OnboardingRequest[Any]]", OnboardingRequest.__class_getitem__(system.resource))
    for name, system in SYSTEMS.items()
}


def parse_confirmation(detail: object) -> HandoffConfirmed:
    """The request in the detail of an event. Raises InvalidRequest as `parse_onboarding` does."""
    try:
        return HandoffConfirmed.model_validate(detail)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise InvalidRequest(_problem(HandoffConfirmed, item) for item in details) from None


def parse_onboarding(detail: object) -> OnboardingRequest[Any]:
    """The request in the detail of an event. Raises InvalidRequest with every problem, none of which repeats a value."""
    if not isinstance(detail, Mapping):
        raise InvalidRequest([Problem("detail", "must be a JSON object")])
    name = detail.get("system")
    system = SYSTEMS.get(name) if isinstance(name, str) else None
    model = ONBOARDING[system.name] if system else _UnknownSystem
    problems: set[Problem] = set()
    if not system:
        rule = "is missing" if name is None else f"must be one of {', '.join(SYSTEMS)}"
        problems.add(Problem("system", rule))
        # A placeholder that the model accepts, so that only the other errors are added.
        detail = {**detail, "system": ""}
    shape = _shape(system, detail.get("resource")) if system else None
    try:
        request = model.model_validate(detail, context={"shape": shape})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise InvalidRequest(problems | {_problem(model, item) for item in details}) from None
    if problems:
        raise InvalidRequest(problems)
    return request


def _shape(system: System, resource: object) -> SecretShape | None:
    """The shape of the secret for the resource that is asked for, or None if that is no resource."""
    try:
        return system.secret(system.resource.model_validate(resource)) if system.secret else None
    except ValidationError:
        return None


def _problem(model: type[Document], error: ErrorDetails) -> Problem:
    """One pydantic error as a place and a rule; names that could be values are left out of the place."""
    *parents, last = error["loc"] or ("detail",)
    place = [_name(model, part) for part in parents]
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(last), _members(model, tuple(parents)), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        if parents[:1] == ["secret"] or _SOUNDS_SECRET.search(str(last)):
            shown = str(last) if near else _name(model, last) if _SOUNDS_SECRET.search(str(last)) else "<name>"
            return Problem(".".join([*place, shown]), f"is not a member here{hint}; {NO_TOKEN_HERE}")
        return Problem(".".join([*place, str(last) if near else _name(model, last)]), f"is not a member here{hint}")
    path = ".".join([*place, _name(model, last)])
    if path in {"secret", "secret.value"} and error["type"] == "model_type":
        return Problem(path, f"{_RULES['model_type']}; {NO_TOKEN_HERE}")
    rule = _RULES.get(error["type"], error["msg"])
    # Literals are told as JSON spells them.
    return Problem(path, rule.format(**error.get("ctx", {})).replace("True", "true").replace("False", "false"))


def _name(model: type[Document], part: str | int) -> str:
    told = isinstance(part, int) or part in _all_members(model) or _HARMLESS_NAME.fullmatch(part)
    return str(part) if told else "<name>"


@cache
def _all_members(model: type[Document]) -> frozenset[str]:
    """Every name that the model knows, wherever it stands, and the place of an error in the whole."""
    schema = model.model_json_schema()
    parts = (schema, *schema.get("$defs", {}).values())
    return frozenset({"detail", *(name for part in parts for name in part.get("properties", {}))})


@cache
def _members(model: type[Document], parents: tuple[str | int, ...]) -> tuple[str, ...]:
    """The wire names that stand at a place of the model."""
    schema = model.model_json_schema()
    node: dict[str, Any] = schema
    for part in parents:
        node = node["items"] if isinstance(part, int) else node["properties"][part]
        node = next((option for option in node.get("anyOf", []) if "$ref" in option), node)
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else node
    return tuple(node.get("properties", {}))


def _load(value: object) -> OnboardingRequest[Any]:
    return value if isinstance(value, OnboardingRequest) else parse_onboarding(value)


# For the inputs of functions: a request that has been parsed before, whatever its system.
AnyOnboarding = Annotated[
    OnboardingRequest[Any],
    PlainValidator(_load),
    PlainSerializer(lambda request: request.wire),
]
