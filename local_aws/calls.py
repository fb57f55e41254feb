"""What a request asks for: service, operation, Region and access key, read off the wire as AWS does; and how often."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote

import botocore.session
from botocore.model import OperationModel, ServiceModel

Shape = Any  # botocore's shapes share no type: what they have depends on `type_name`
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
# Where the name a request is signed for is not the name boto3 gives the service.
_SIGNED_AS = {"states": "stepfunctions", "monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi"}


@dataclass(frozen=True)
class Call:
    """One signed API call; `service` is boto3's name, `protocol` the family in which errors are written."""

    service: str
    operation: str
    region: str
    access_key: str
    protocol: str
    method: str
    raw_path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes


class Calls:
    """How often each principal called what."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, principal: str, call: Call) -> None:
        self.count(principal, call.service, call.operation)

    def count(self, principal: str, service: str, operation: str) -> None:
        self.counts[principal, service, operation] += 1

    def report(self) -> list[dict[str, Any]]:
        names = ("principal", "service", "operation", "count")
        return [dict(zip(names, (*key, count), strict=True)) for key, count in sorted(self.counts.items())]


@cache
def service_model(service: str) -> ServiceModel:
    """botocore's model of `service`; raises botocore's UnknownServiceError."""
    return botocore.session.get_session().get_service_model(service)


def call_of(scope: Message, body: bytes) -> Call | None:
    """The call in an ASGI request, or None where it is not signed in its Authorization header."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    signed = _SCOPE.search(headers.get("authorization", ""))
    if signed is None:
        return None
    service = _SIGNED_AS.get(signed["service"], signed["service"])
    raw_path = scope.get("raw_path", scope["path"].encode()).decode("latin-1").partition("?")[0]
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    protocol, operation = _operation(service, scope["method"], raw_path, query, headers, body)
    return Call(service, operation, signed["region"], signed["key"], protocol, scope["method"], raw_path, query, headers, body)


def _operation(
    service: str, method: str, raw_path: str, query: Mapping[str, list[str]], headers: Mapping[str, str], body: bytes
) -> tuple[str, str]:
    if target := headers.get("x-amz-target"):
        return "json", target.rpartition(".")[2]
    form = parse_qs(body.decode("latin-1")) if "form" in headers.get("content-type", "") else query
    if "Action" in form:
        return "query", form["Action"][0]
    try:
        model = service_model(service)
    except botocore.exceptions.UnknownServiceError:
        return "rest-json", f"{method} {raw_path}"
    found = match_route(model, method, raw_path, query)
    return model.metadata["protocol"], found[0].name if found else f"{method} {raw_path}"


def match_route(
    model: ServiceModel, method: str, raw_path: str, query: Mapping[str, list[str]]
) -> tuple[OperationModel, dict[str, str]] | None:
    """The operation of a REST service that a request names, with its URL-decoded path members by wire name."""
    for pattern, required, operation in _routes(model).get(method, []):
        found = pattern.fullmatch(raw_path)
        if found and required <= set(query):
            names = [unquote(value) for value in found.groups()]
            return operation, dict(zip(_path_members(operation), names, strict=True))
    return None


@cache
def _routes(model: ServiceModel) -> dict[str, list[tuple[re.Pattern[str], set[str], OperationModel]]]:
    routes: dict[str, list[tuple[re.Pattern[str], set[str], OperationModel]]] = {}
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, marks = operation.http["requestUri"].partition("?")
        pieces = [_piece(part) for part in re.split(r"(\{[^}]+\})", path)]
        required = {mark.partition("=")[0] for mark in marks.split("&") if mark}
        routes.setdefault(operation.http["method"], []).append((re.compile("".join(pieces)), required, operation))
    for candidates in routes.values():  # the most literal route first
        candidates.sort(key=lambda route: (len(_path_members(route[2])), -len(route[1])))
    return routes


def _piece(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    return "(.+)" if part.endswith("+}") else "([^/]+)"


def _path_members(operation: OperationModel) -> list[str]:
    return re.findall(r"\{([^}+]+)\+?\}", operation.http["requestUri"].partition("?")[0])
