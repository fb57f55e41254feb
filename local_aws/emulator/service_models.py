"""botocore's service models, and the operation that a REST request is for."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from moto.core.utils import get_service_model

# botocore's shapes share no type: their attributes depend on `type_name`.
Shape = Any
# moto's subclasses of botocore's models, which moto's parser and serializer need.
OperationModel = Any
ServiceModel = Any

_LABEL = re.compile(r"(\{[^}]+\})")


@functools.cache
def service_model(service: str) -> ServiceModel:
    """Returns botocore's model of a service. Raises botocore's UnknownServiceError."""
    return get_service_model(service)


@dataclass(frozen=True)
class _Route:
    """The HTTP binding of an operation: the pattern of its path, the labels in it, and the query and headers it requires."""

    operation: OperationModel
    pattern: re.Pattern[str]
    labels: list[str]
    query: set[str]
    headers: set[str]


def match_route(
    model: ServiceModel, method: str, raw_path: str, query: Mapping[str, list[str]], headers: Mapping[str, str]
) -> tuple[OperationModel, dict[str, str]] | None:
    """Returns the operation of a REST service that a request is for, and its decoded path labels by wire name.

    moto.core.routing does not do this job. It finds no route for a request that lacks a required query parameter, where
    AWS returns the error of the operation, and it lets the last label of every path contain slashes.
    """
    for route in _routes(model).get(method, []):
        found = route.pattern.fullmatch(raw_path)
        if found and route.query <= set(query) and route.headers <= set(headers):
            return route.operation, dict(zip(route.labels, map(unquote, found.groups()), strict=True))
    return None


@functools.cache
def _routes(model: ServiceModel) -> dict[str, list[_Route]]:
    """Returns the routes of a service by HTTP method, the most literal route first."""
    routes: dict[str, list[_Route]] = {}
    for name in model.operation_names:
        operation = model.operation_model(name)
        http = operation.http_trait
        parts = _LABEL.split(http.path)
        labels = [label.strip("{+}") for label in parts[1::2]]
        pattern = re.compile("".join(_pattern_of(part) for part in parts))
        route = _Route(operation, pattern, labels, set(http.query_args), _required_headers(operation))
        routes.setdefault(http.method, []).append(route)
    for candidates in routes.values():
        candidates.sort(key=lambda route: (len(route.labels), -len(route.query), -len(route.headers)))
    return routes


def _required_headers(operation: OperationModel) -> set[str]:
    """The headers without which S3 takes a request for another operation: CopyObject has the route of PutObject."""
    shape = operation.input_shape
    if shape is None or operation.service_model.service_name != "s3":
        return set()
    bound = {name: member.serialization for name, member in shape.members.items()}
    required = [bound[name] for name in shape.required_members]
    return {each["name"].lower() for each in required if each.get("location") == "header"}


def _pattern_of(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    return "(.+)" if part.endswith("+}") else "([^/]+)"
