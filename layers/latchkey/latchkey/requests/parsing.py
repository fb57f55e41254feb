"""Parses requests, and reports every problem at once. No problem repeats a value of the request."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, cast, get_args

from pydantic import PlainSerializer, PlainValidator, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from latchkey.errors import InvalidRequest, Problem
from latchkey.requests.lifecycle import ACCESS_REQUESTS, ASKED_REQUESTS, AccessRequest, AskedRequest, HandoffConfirmed
from latchkey.requests.models import NO_TOKEN_HERE, SOUNDS_SECRET, OnboardingRequest
from latchkey.systems import SYSTEMS
from latchkey.systems.system import SecretShape, System
from latchkey.wire import WireModel

# The name of an unknown member is shown only if it is shorter than any token, which could be there by mistake.
_HARMLESS_NAME = re.compile(r"[A-Za-z]{1,7}")
# The messages for pydantic's error types. Their placeholders are filled from the model, never from the request.
_RULES = {
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "greater_than_equal": "must be at least {ge}",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "model_type": "must be an object",
    "string_too_long": "must have at most {max_length} characters",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode text",
    "too_long": "must have at most {max_length} members",
    "too_short": "must have at least {min_length} member",
    "tuple_type": "must be a list",
}
_TYPES = {kind for kind in _RULES if kind.endswith("_type")}
_KINDS: Final[Mapping[type, str]] = {
    bool: "true or false",
    dict: "an object",
    float: "a number with a decimal point",
    int: "a number",
    list: "a list",
    str: "text",
}
# What corrects a text in the place of something else.
_FROM_TEXT = {
    "bool_type": "remove the quotation marks",
    "int_type": "remove the quotation marks",
    "tuple_type": "put it in square brackets",
}
_OF_PYDANTIC = frozenset(get_args(ErrorType))
# Each round parses a request without the members that broke a rule, and finds the rules about several members.
_ROUNDS = 4
_GONE: Final = object()


class _UnknownSystem(OnboardingRequest[Any]):
    """Reports the other problems of a request whose system is unknown."""

    resource: dict[str, Any]


# One model for each system, so that schemas and errors refer to the resource of that system.
ONBOARDING: Mapping[str, type[OnboardingRequest[Any]]] = {
    name: cast("type[OnboardingRequest[Any]]", OnboardingRequest.__class_getitem__(system.resource))
    for name, system in SYSTEMS.items()
}


def parse_confirmation(detail: object) -> HandoffConfirmed:
    """The confirmation in the detail of an event. Raises InvalidRequest with every problem."""
    return _parse(HandoffConfirmed, detail)


def parse_access_request(kind: str, detail: object) -> AccessRequest:
    """The request about a recorded access in the detail of an event of this type. Raises InvalidRequest with every problem."""
    return _parse(ACCESS_REQUESTS[kind], detail)


def parse_asked(kind: str, detail: object) -> AskedRequest:
    """The request in the detail of an event of this type, which is no onboarding request. Raises InvalidRequest."""
    return _parse(ASKED_REQUESTS[kind], detail)


def _parse[Model: WireModel](model: type[Model], detail: object) -> Model:
    try:
        return model.model_validate(detail)
    except ValidationError as error:
        raise InvalidRequest(_problem(model, item) for item in error.errors(include_url=False)) from None


def parse_onboarding(detail: object, *, is_new: bool = True) -> OnboardingRequest[Any]:
    """The onboarding request in the detail of an event. Raises InvalidRequest with every problem.

    A request that was recorded or started by an earlier version is not new: it can have generated a token of a length that is
    no longer offered.
    """
    if not isinstance(detail, Mapping):
        raise InvalidRequest([Problem("detail", "must be a JSON object")])
    name = detail.get("system")
    system = SYSTEMS.get(name) if isinstance(name, str) else None
    model = ONBOARDING[system.name] if system else _UnknownSystem
    problems: set[Problem] = set()
    if not system:
        rule = "is missing" if name is None else f"must be one of {', '.join(SYSTEMS)}"
        problems.add(Problem("system", rule))
        # A placeholder that the model accepts, so that only the other problems are added.
        detail = {**detail, "system": ""}
    request, removed = None, set[tuple[str | int, ...]]()
    for _ in range(_ROUNDS):
        shape = _shape(system, detail.get("resource")) if system else None
        try:
            request = model.model_validate(detail, context={"shape": shape, "is_new": is_new})
            break
        except ValidationError as error:
            found = _independent(error.errors(include_url=False), removed)
        problems |= {_problem(model, item) for item in found}
        corrected = _corrected(model, detail, found, removed)
        if corrected is None:
            break
        detail = corrected
    if problems or request is None:
        raise InvalidRequest(problems)
    return request


def _independent(errors: list[ErrorDetails], removed: set[tuple[str | int, ...]]) -> list[ErrorDetails]:
    """The errors that do not follow from others: from invalid items of a list, or from members that were `removed`."""
    places = [error["loc"] for error in errors]
    holders = {place[:-1] for place in removed if len(place) > 1}
    follows = {
        error["loc"]
        for error in errors
        if error["type"] == "too_short" and any(place[: len(error["loc"])] == error["loc"] != place for place in places)
    }
    return [error for error in errors if error["loc"] not in holders | follows]


def _corrected(
    model: type[WireModel], detail: Mapping[str, Any], errors: list[ErrorDetails], removed: set[tuple[str | int, ...]]
) -> Mapping[str, Any] | None:
    """The detail with an example in the place of each member that broke a rule, so that rules about several members apply.

    An optional member without an example is removed, and an unknown one too. None if another one has no example.
    """
    corrected: Any = detail
    for error in errors:
        place = error["loc"][:-1] if error["loc"][-1:] == ("[key]",) else error["loc"]
        if error["type"] == "extra_forbidden":
            corrected = _with(corrected, place, _GONE)
            continue
        node = _node(model, place)
        if node is not None and "examples" in node:
            corrected = _with(corrected, place, node["examples"][0])
        elif place and isinstance(place[-1], str) and not _is_required(model, place):
            corrected = _with(corrected, place, _GONE)
            removed.add(place)
        else:
            return None
    return cast("Mapping[str, Any]", corrected) if errors else None


def _with(value: Any, place: tuple[str | int, ...], member: object) -> Any:
    """The value with another member at a place, or without it. What contains it is copied."""
    if not place:
        return member
    first, *rest = place
    if isinstance(value, list | tuple):
        return [_with(item, tuple(rest), member) if index == first else item for index, item in enumerate(value)]
    if not rest and member is _GONE:
        return {name: item for name, item in value.items() if name != first}
    return {**value, first: _with(value.get(first), tuple(rest), member)}


def _shape(system: System, resource: object) -> SecretShape | None:
    """The shape of the secret for the requested resource, or None if the resource is invalid."""
    try:
        return system.secret(system.resource.model_validate(resource)) if system.secret else None
    except ValidationError:
        return None


def _problem(model: type[WireModel], error: ErrorDetails) -> Problem:
    """The problem for one pydantic error. A name that could be a value is replaced by `<name>`."""
    *parents, last = error["loc"] or ("detail",)
    path = [_name(model, part) for part in parents]
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(last), _members(model, tuple(parents)), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        if parents[:1] in (["secret"], ["value"]) or SOUNDS_SECRET.search(str(last)):
            # A longer name than the member that was meant can contain a token.
            is_typo = bool(near) and len(str(last)) <= len(near[0]) + 2
            shown = str(last) if is_typo else _name(model, last) if SOUNDS_SECRET.search(str(last)) else "<name>"
            return Problem(".".join([*path, shown]), f"is not a known member{hint}; {NO_TOKEN_HERE}")
        return Problem(
            ".".join([*path, str(last) if near else _name(model, last)]), f"is not a known member{hint or ': remove it'}"
        )
    full_path = ".".join([*path, _name(model, last)])
    rule = rule_of(error)
    is_secret = full_path in {"secret", "secret.value", "value"} and error["type"] == "model_type"
    return Problem(full_path, f"{rule}; {NO_TOKEN_HERE}" if is_secret else rule)


def rule_of(error: ErrorDetails) -> str:
    """The rule that was broken, and the kind of what was given: never the value itself, and never in the words of pydantic."""
    kind, given = error["type"], error["input"]
    if kind not in _RULES:
        return "is not valid" if kind in _OF_PYDANTIC else error["msg"]
    context = error.get("ctx", {})
    if kind == "literal_error":
        # pydantic spells texts and booleans as Python does, and the sender writes JSON.
        context = {"expected": context["expected"].replace("'", '"').replace("True", "true").replace("False", "false")}
    rule = _RULES[kind].format(**context)
    if kind not in _TYPES:
        return rule
    remedy = f": {_FROM_TEXT[kind]}" if isinstance(given, str) and kind in _FROM_TEXT else ""
    return f"{rule}, not {_KINDS.get(type(given), 'null')}{remedy}"


def _name(model: type[WireModel], part: str | int) -> str:
    is_safe = isinstance(part, int) or part in _all_members(model) or _HARMLESS_NAME.fullmatch(part)
    return str(part) if is_safe else "<name>"


@cache
def _all_members(model: type[WireModel]) -> frozenset[str]:
    """The names of all members in the model at any depth, and `detail`, the path of an error of the whole request."""
    schema = _schema(model)
    parts = (schema, *schema.get("$defs", {}).values())
    return frozenset({"detail", *(name for part in parts for name in part.get("properties", {}))})


def _members(model: type[WireModel], parents: tuple[str | int, ...]) -> tuple[str, ...]:
    """The names of the members at one path of the model."""
    return tuple((_node(model, parents) or {}).get("properties", {}))


def _is_required(model: type[WireModel], place: tuple[str | int, ...]) -> bool:
    return place[-1] in (_node(model, place[:-1]) or {}).get("required", ())


@cache
def _schema(model: type[WireModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _node(model: type[WireModel], place: tuple[str | int, ...]) -> dict[str, Any] | None:
    """The JSON Schema of one place in the model, or None if the model does not know the place."""
    schema = _schema(model)
    node: dict[str, Any] = schema
    for part in place:
        inner = node.get("items") if isinstance(part, int) else _member(node, part)
        if not isinstance(inner, dict):
            return None
        node = next((option for option in inner.get("anyOf", []) if option.get("type") != "null"), inner)
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else node
    return node


def json_type(system: str, place: tuple[str, ...]) -> str | None:
    """The JSON type of a member of the onboarding requests for a system, or None if it is unknown."""
    node = _node(ONBOARDING.get(system, _UnknownSystem), place)
    return str(node["type"]) if node is not None and "type" in node else None


def _member(node: Mapping[str, Any], name: str) -> Any:
    """The schema of a member of an object, or of any member of an object whose names are free."""
    properties = node.get("properties", {})
    return properties[name] if name in properties else node.get("additionalProperties")


def _load(value: object) -> OnboardingRequest[Any]:
    return value if isinstance(value, OnboardingRequest) else parse_onboarding(value, is_new=False)


# For the inputs of functions: a request of any system, which was parsed before.
AnyOnboarding = Annotated[
    OnboardingRequest[Any],
    PlainValidator(_load),
    PlainSerializer(lambda request: request.wire),
]


def _load_asked(value: object, info: ValidationInfo) -> AskedRequest | None:
    if value is None or isinstance(value, AskedRequest):
        return value
    return parse_asked(info.data["kind"], value)


# For the inputs of functions: any request except an onboarding request, which was parsed before. Its type is the member `kind`.
AnyAsked = Annotated[
    AskedRequest | None,
    PlainValidator(_load_asked),
    PlainSerializer(lambda asked: asked and asked.wire),
]
