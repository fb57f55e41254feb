"""A REST-JSON service driven by botocore's model of it: parses, validates, dispatches and serialises.

https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
"""

import base64
import contextlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from botocore.model import OperationModel
from botocore.utils import parse_timestamp

from local_aws.authorize import Caller
from local_aws.calls import Call, Shape, match_route, service_model

Response = tuple[int, dict[str, str], bytes]


class ServiceError(Exception):
    """An error as the service answers it; `code` goes to x-amzn-ErrorType, the message and `members` into the body."""

    def __init__(self, code: str, message: str, status: int = 400, **members: str) -> None:
        super().__init__(message)
        self.code, self.status, self.members = code, status, members


class BadRequest(ServiceError):
    """A request that cannot be served; every service has its own code and status for it."""

    def __init__(self, message: str, **members: str) -> None:
        super().__init__("BadRequestException", message, 400, **members)


@dataclass(frozen=True)
class Request:
    """A parsed call: `members` by the names of the service's model."""

    operation: str
    members: Mapping[str, Any]
    caller: Caller
    region: str

    def __getitem__(self, member: str) -> Any:
        return self.members[member]

    def get(self, member: str, default: Any = None) -> Any:
        return self.members.get(member, default)


def error_response(error: ServiceError) -> Response:
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}
    return error.status, headers, json.dumps({"Message": str(error)} | error.members).encode()


class Model(Protocol):
    """A service: one method per operation, named in snake case, from Request to output members."""

    def checks_of(self, request: Request) -> list[tuple[str, str, dict[str, str]]]:
        """Operation, ARN and resource tags of everything that the caller's policies must allow."""


class Service:
    """Serves `model` under botocore's name of the service; `refusal` is the code and status of its bad requests."""

    def __init__(self, name: str, model: Model, refusal: tuple[str, int] = ("BadRequestException", 400)) -> None:
        self.name, self.model, self.api = name, model, service_model(name)
        self._refusal = refusal

    @property
    def operations(self) -> list[str]:
        return [name for name in self.api.operation_names if hasattr(self.model, _snake(name))]

    def parse(self, call: Call, caller: Caller) -> Request:
        """The typed request; raises ServiceError where the service would refuse it."""
        found = match_route(self.api, call.method, call.raw_path, call.query)
        if found is None:
            raise ServiceError("UnknownOperationException", f"{self.name} has no {call.method} {call.raw_path}", 404)
        operation, path = found
        if not hasattr(self.model, _snake(operation.name)):
            raise ServiceError("NotImplemented", f"local_aws does not model {self.name} {operation.name}", 501)
        with self._own_refusals():
            return Request(operation.name, _parse_members(operation, path, call), caller, call.region)

    async def answer(self, request: Request) -> Response:
        """Runs the operation and writes its output; raises ServiceError."""
        operation = self.api.operation_model(request.operation)
        with self._own_refusals():
            output = getattr(self.model, _snake(request.operation))(request)
            if inspect.isawaitable(output):
                output = await output
        body, headers = b"", {"Content-Type": "application/json"}
        if operation.output_shape is not None:
            body = json.dumps(serialise(operation.output_shape, output or {})).encode()
        return operation.http.get("responseCode", 200), headers, body

    @contextlib.contextmanager
    def _own_refusals(self) -> Iterator[None]:
        try:
            yield
        except BadRequest as error:
            code, status = self._refusal
            raise ServiceError(code, str(error), status, **error.members) from None


def _snake(operation: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation).lower()


def _parse_members(operation: OperationModel, path: Mapping[str, str], call: Call) -> dict[str, Any]:
    shape = operation.input_shape
    if shape is None:
        return {}
    body = _body(call.body)
    members: dict[str, Any] = {}
    for name, member in shape.members.items():
        wire = member.serialization.get("name", name)
        location = member.serialization.get("location")
        if location == "uri":
            members[name] = _from_text(member, path[wire], name)
        elif location == "querystring" and wire in call.query:
            values = call.query[wire]
            is_list = member.type_name == "list"
            members[name] = list(values) if is_list else _from_text(member, values[0], name)
        elif location == "header" and wire.lower() in call.headers:
            members[name] = _from_text(member, call.headers[wire.lower()], name)
        elif location is None and body.get(wire) is not None:
            members[name] = _from_json(member, body[wire], name)
    _require(shape, members, "")
    return members


def _body(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body) if body else {}
    except ValueError:
        raise BadRequest("The request body is not JSON.") from None
    if not isinstance(parsed, dict):
        raise BadRequest("The request body is not a JSON object.")
    return parsed


def _require(shape: Shape, members: Mapping[str, Any], where: str) -> None:
    missing = [where + name for name in shape.required_members if name not in members]
    if missing:
        raise BadRequest(f"Missing required field: {', '.join(sorted(missing))}.")


def _from_text(shape: Shape, text: str, where: str) -> Any:
    if shape.type_name in ("integer", "long"):
        if not re.fullmatch(r"-?\d+", text):
            raise BadRequest(f"{where} is not an integer.")
        return _from_json(shape, int(text), where)
    return _from_json(shape, text == "true" if shape.type_name == "boolean" else text, where)


_TYPES: dict[str, Any] = {
    "string": str, "integer": int, "long": int, "boolean": bool, "float": (int, float), "double": (int, float),
    "structure": dict, "map": dict, "list": list, "blob": str, "timestamp": (int, float, str),
}  # fmt: skip


def _from_json(shape: Shape, value: Any, where: str) -> Any:
    """`value` with member names for wire names; raises where type, enum, bounds or required members are wrong."""
    kind = shape.type_name
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        raise BadRequest(f"{where} is not of type {kind}.")
    if kind == "structure":
        names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
        found = {names[k]: v for k, v in value.items() if k in names and v is not None}
        parsed = {name: _from_json(shape.members[name], v, f"{where}.{name}") for name, v in found.items()}
        _require(shape, parsed, f"{where}.")
        return parsed
    if kind == "list":
        return [_from_json(shape.member, item, f"{where}[{index}]") for index, item in enumerate(value)]
    if kind == "map":
        return {key: _from_json(shape.value, item, f"{where}.{key}") for key, item in value.items()}
    if kind == "timestamp":
        return parse_timestamp(value)
    if kind == "blob":
        return base64.b64decode(value)
    if kind == "string" and shape.enum and value not in shape.enum:
        raise BadRequest(f"{where} must be one of {', '.join(shape.enum)}.")
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    size = len(value) if kind == "string" else value
    if (low is not None and size < low) or (high is not None and size > high):
        raise BadRequest(f"{where} is out of bounds.")
    return value


def serialise(shape: Shape, value: Any) -> Any:
    """The JSON form of `value`, with wire names and only the members that the shape has."""
    if shape.type_name == "structure":
        pairs = [(name, member) for name, member in shape.members.items() if value.get(name) is not None]
        return {member.serialization.get("name", name): serialise(member, value[name]) for name, member in pairs}
    if shape.type_name == "list":
        return [serialise(shape.member, item) for item in value]
    if shape.type_name == "map":
        return {key: serialise(shape.value, item) for key, item in value.items()}
    if isinstance(value, datetime):
        iso = shape.serialization.get("timestampFormat") == "iso8601"
        return value.astimezone(UTC).isoformat(timespec="seconds") if iso else round(value.timestamp(), 3)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
