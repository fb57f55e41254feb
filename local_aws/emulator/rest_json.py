"""REST-JSON services driven by botocore's models: parse, validate, dispatch and serialize.

moto parses requests and serializes responses, botocore validates parameters. The subclasses here add what the clients of
AWS may leave to the service. https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
"""

import contextlib
import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from botocore import xform_name
from botocore.utils import parse_timestamp
from botocore.validate import ParamValidator, ValidationErrors
from moto.core.parse import RestJSONParser
from moto.core.serialize import RestJSONSerializer
from werkzeug.datastructures import Headers, MultiDict

from local_aws.emulator.api_calls import Call
from local_aws.emulator.asgi import Response
from local_aws.emulator.authorization import Caller
from local_aws.emulator.service_models import OperationModel, Shape, match_route, service_model

_NUMBERS = ("integer", "long", "float", "double")
_JSON_TYPES: dict[str, Any] = {
    "string": str, "blob": str, "boolean": bool, "integer": int, "long": int, "float": (int, float), "double": (int, float),
    "timestamp": (int, float, str), "structure": dict, "map": dict, "list": list,
}  # fmt: skip


class ServiceError(Exception):
    """An error response. `code` goes to x-amzn-ErrorType, the message and `members` go to the body."""

    def __init__(self, code: str, message: str, status: int = 400, **members: str) -> None:
        super().__init__(message)
        self.code, self.status, self.members = code, status, members


class BadRequest(ServiceError):
    """A request that a service rejects. Each service has its own code and status for it."""

    def __init__(self, message: str, **members: str) -> None:
        super().__init__("BadRequestException", message, 400, **members)


@dataclass(frozen=True)
class Request:
    """A parsed call. `members` have the names of the service's model."""

    operation: str
    members: Mapping[str, Any]
    caller: Caller
    region: str

    def __getitem__(self, member: str) -> Any:
        return self.members[member]

    def get(self, member: str, default: Any = None) -> Any:
        return self.members.get(member, default)


def error_response(error: ServiceError) -> Response:
    """Returns an error response. moto can only serialize the errors in a model, and the models lack most of them."""
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}
    return error.status, headers, json.dumps({"Message": str(error)} | error.members).encode()


class Model(Protocol):
    """An emulated service: one method per operation, named in snake case, that returns output members for a Request."""

    def checks_of(self, request: Request) -> list[tuple[str, str, dict[str, str]]]:
        """Returns the operation, ARN and resource tags of everything that the caller's policies must allow."""

    def clear(self) -> None:
        """Deletes every resource."""


class Service:
    """Serves a model under botocore's name of the service. `bad_request` is the code and status of its BadRequest errors."""

    def __init__(self, name: str, model: Model, bad_request: tuple[str, int] = ("BadRequestException", 400)) -> None:
        self.name, self.model, self.api = name, model, service_model(name)
        self._bad_request = bad_request

    def denied(self, message: str) -> ServiceError:
        """Returns the answer to a caller whose policies do not allow the request."""
        deny = getattr(self.model, "denied", None)
        return deny(message) if deny else ServiceError("AccessDeniedException", message, 403)

    @property
    def operations(self) -> list[str]:
        return [name for name in self.api.operation_names if hasattr(self.model, xform_name(name))]

    def parse(self, call: Call, caller: Caller) -> Request:
        """Returns the typed request. Raises ServiceError if the service would reject it."""
        found = match_route(self.api, call.method, call.raw_path, call.query, call.headers)
        if found is None:
            raise ServiceError("UnknownOperationException", f"{self.name} has no {call.method} {call.raw_path}", 404)
        operation, labels = found
        if not hasattr(self.model, xform_name(operation.name)):
            raise ServiceError("NotImplemented", f"local_aws does not emulate {self.name} {operation.name}", 501)
        with self._own_bad_request():
            return Request(operation.name, parse_members(operation, labels, call), caller, call.region)

    async def answer(self, request: Request) -> Response:
        """Runs the operation and returns its response. Raises ServiceError."""
        with self._own_bad_request():
            output = getattr(self.model, xform_name(request.operation))(request)
            if inspect.isawaitable(output):
                output = await output
        return serialize_output(self.api.operation_model(request.operation), output or {})

    @contextlib.contextmanager
    def _own_bad_request(self) -> Iterator[None]:
        try:
            yield
        except BadRequest as error:
            code, status = self._bad_request
            raise ServiceError(code, str(error), status, **error.members) from None


def parse_members(operation: OperationModel, labels: Mapping[str, str], call: Call) -> dict[str, Any]:
    """Returns the validated input members of a call. Raises BadRequest."""
    if operation.input_shape is None:
        return {}
    headers, values = Headers(list(call.headers.items())), MultiDict[str, str](call.query)
    request = {"body": call.body, "headers": headers, "url_params": labels, "values": values}
    members: dict[str, Any] = _Parser(operation, timestamp_parser=parse_timestamp).parse(request)
    report = _Validator().validate(members, operation.input_shape)
    if report.has_errors():
        raise BadRequest(report.generate_report())
    return members


def serialize_output(operation: OperationModel, output: Mapping[str, Any]) -> Response:
    """Returns the response of an operation. Members that are not in its output shape are dropped."""
    response = RestJSONSerializer(operation).serialize(output)
    # If an operation has no output, moto writes an empty JSON object, which is invalid with status 204.
    body = response["body"].encode() if operation.output_shape is not None else b""
    return response["status_code"], {"Content-Type": "application/json"}, body


class _Parser(RestJSONParser):  # type: ignore[misc]  # moto is not typed
    """moto's parser, without its leniency.

    moto turns a string into a list of letters and true into 1, and fails on other wrong types. Here, a value of a wrong
    type stays as it is, and the validator reports it.
    """

    def _initial_body_parse(self, body_contents: bytes) -> dict[str, Any]:
        """Returns the members of the body. moto takes members that belong in the path or query from the body, too."""
        try:
            parsed = json.loads(body_contents or b"{}")
        except ValueError:
            raise BadRequest("The request body is not JSON.") from None
        if not isinstance(parsed, dict):
            raise BadRequest("The request body is not a JSON object.")
        members = self.operation_model.input_shape.members.items()
        own = {shape.serialization.get("name", name) for name, shape in members if "location" not in shape.serialization}
        return {name: value for name, value in parsed.items() if name in own}

    def _parse_non_payload_attrs(
        self, response: Mapping[str, Any], shape: Shape, member_shapes: Mapping[str, Shape], final_parsed: dict[str, Any]
    ) -> None:
        """Skips absent query parameters. For one of type list, moto reports an empty list."""
        present = {
            name: member
            for name, member in member_shapes.items()
            if member.serialization.get("location") != "querystring" or member.serialization["name"] in response["values"]
        }
        super()._parse_non_payload_attrs(response, shape, present, final_parsed)

    def _parse_shape(self, shape: Shape, node: Any) -> Any:
        is_text = "location" in shape.serialization
        if not is_text and not isinstance(node, _JSON_TYPES[shape.type_name]):
            return node
        if isinstance(node, bool) and shape.type_name in _NUMBERS:
            return node
        try:
            return super()._parse_shape(shape, node)
        except ValueError:
            return node


class _Validator(ParamValidator):
    """botocore's validator with the constraints that clients leave to the service: maximums and enums."""

    def _shape_has_constraints(self, shape: Shape) -> bool:
        """Returns whether members of a list are validated one by one. By default, members with only an enum are not."""
        return True

    def _validate(self, params: Any, shape: Shape, errors: ValidationErrors, name: str) -> None:
        kind, path = shape.type_name, name.removeprefix(".")
        if isinstance(params, bool) and kind in _NUMBERS:
            raise BadRequest(f"{path} is not a number.")
        super()._validate(params, shape, errors, name)  # type: ignore[misc]  # the stubs only have the public methods
        if kind == "string" and shape.enum and params not in shape.enum:
            raise BadRequest(f"{path} must be one of {', '.join(shape.enum)}.")
        if "max" in shape.metadata and isinstance(params, str | int | list | dict):
            size = params if isinstance(params, int) else len(params)
            if size > shape.metadata["max"]:
                raise BadRequest(f"{path} must be at most {shape.metadata['max']}{'' if isinstance(params, int) else ' long'}.")
