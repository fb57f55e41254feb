"""Parses requests, and reports every problem at once. No problem repeats a value of the request."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, cast

from pydantic import PlainSerializer, PlainValidator, ValidationError
from pydantic_core import ErrorDetails

from latchkey.errors import InvalidRequest, Problem
from latchkey.requests.models import NO_TOKEN_HERE, SOUNDS_SECRET, HandoffConfirmed, OnboardingRequest
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
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode text",
    "too_long": "must have at most {max_length} members",
    "tuple_type": "must be a list",
}


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
    try:
        return HandoffConfirmed.model_validate(detail)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise InvalidRequest(_problem(HandoffConfirmed, item) for item in details) from None


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
    shape = _shape(system, detail.get("resource")) if system and is_new else None
    try:
        request = model.model_validate(detail, context={"shape": shape})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise InvalidRequest(problems | {_problem(model, item) for item in details}) from None
    if problems:
        raise InvalidRequest(problems)
    return request


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
        if parents[:1] == ["secret"] or SOUNDS_SECRET.search(str(last)):
            shown = str(last) if near else _name(model, last) if SOUNDS_SECRET.search(str(last)) else "<name>"
            return Problem(".".join([*path, shown]), f"is not a known member{hint}; {NO_TOKEN_HERE}")
        return Problem(
            ".".join([*path, str(last) if near else _name(model, last)]), f"is not a known member{hint or ': remove it'}"
        )
    full_path = ".".join([*path, _name(model, last)])
    if full_path in {"secret", "secret.value"} and error["type"] == "model_type":
        return Problem(full_path, f"{_RULES['model_type']}; {NO_TOKEN_HERE}")
    rule = _RULES.get(error["type"], error["msg"])
    # pydantic spells booleans as Python does, and the sender writes JSON.
    return Problem(full_path, rule.format(**error.get("ctx", {})).replace("True", "true").replace("False", "false"))


def _name(model: type[WireModel], part: str | int) -> str:
    is_safe = isinstance(part, int) or part in _all_members(model) or _HARMLESS_NAME.fullmatch(part)
    return str(part) if is_safe else "<name>"


@cache
def _all_members(model: type[WireModel]) -> frozenset[str]:
    """The names of all members in the model at any depth, and `detail`, the path of an error of the whole request."""
    schema = model.model_json_schema()
    parts = (schema, *schema.get("$defs", {}).values())
    return frozenset({"detail", *(name for part in parts for name in part.get("properties", {}))})


@cache
def _members(model: type[WireModel], parents: tuple[str | int, ...]) -> tuple[str, ...]:
    """The names of the members at one path of the model."""
    schema = model.model_json_schema()
    node: dict[str, Any] = schema
    for part in parents:
        node = node["items"] if isinstance(part, int) else node["properties"][part]
        node = next((option for option in node.get("anyOf", []) if "$ref" in option), node)
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else node
    return tuple(node.get("properties", {}))


def _load(value: object) -> OnboardingRequest[Any]:
    return value if isinstance(value, OnboardingRequest) else parse_onboarding(value, is_new=False)


# For the inputs of functions: a request of any system, which was parsed before.
AnyOnboarding = Annotated[
    OnboardingRequest[Any],
    PlainValidator(_load),
    PlainSerializer(lambda request: request.wire),
]
