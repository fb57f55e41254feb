"""The AWS API call in an HTTP request: service, operation, Region and access key, read from the wire as AWS does."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from botocore.exceptions import UnknownServiceError

from local_aws.emulator.asgi import Message
from local_aws.emulator.service_models import match_route, service_model

_SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
# Services whose name in signatures is not their name in boto3.
_SIGNED_AS = {"states": "stepfunctions", "monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi"}


@dataclass(frozen=True)
class Call:
    """A signed API call. `service` is boto3's name. `protocol` decides the format of errors."""

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


def call_of(scope: Message, body: bytes) -> Call | None:
    """Returns the call in an ASGI request, or None if the Authorization header has no Signature Version 4."""
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
    """Returns the protocol and the operation. An unknown operation of a REST service is its method and path."""
    if target := headers.get("x-amz-target"):
        return "json", target.rpartition(".")[2]
    form = parse_qs(body.decode("latin-1")) if "form" in headers.get("content-type", "") else query
    if "Action" in form:
        return "query", form["Action"][0]
    try:
        model = service_model(service)
    except UnknownServiceError:
        return "rest-json", f"{method} {raw_path}"
    found = match_route(model, method, raw_path, query, headers)
    return model.metadata["protocol"], found[0].name if found else f"{method} {raw_path}"
