"""Every emulated operation understands the requests of botocore and returns responses that botocore understands."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import prepare_request_dict
from botocore.model import OperationModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from local_aws.emulator.api_calls import Call, call_of
from local_aws.emulator.app import secrets_role_services
from local_aws.emulator.asgi import Response
from local_aws.emulator.authorization import Caller
from local_aws.emulator.call_counts import CallCounts
from local_aws.emulator.rest_json import Service, ServiceError, serialize_output
from local_aws.emulator.service_models import Shape, service_model
from local_aws.emulator.services.mediatailor import MediaTailor
from local_aws.emulator.services.origin import Origin
from local_aws.emulator.services.secrets_role import SecretsRoles
from local_aws.emulator.services.source_locations import SourceLocations

ORIGIN, SECRETS = Origin(SourceLocations()), SecretsRoles("http://localhost", CallCounts())
SERVICES = [Service("mediatailor", MediaTailor()), *secrets_role_services(SECRETS, ORIGIN)]
OPERATIONS = [(service, name) for service in SERVICES for name in service.operations]
CALLER = Caller("arn:aws:iam::000000000000:root", "000000000000", "test")
SCOPE = "AWS4-HMAC-SHA256 Credential=test/20261122/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"


def sample(shape: Shape, name: str = "x") -> Any:
    """Returns a value with every member. Strings contain characters that must be encoded in a URL."""
    match shape.type_name:
        case "structure":
            members = {member: sample(of, member) for member, of in shape.members.items()}
            return dict(list(members.items())[:1]) if shape.is_tagged_union else members
        case "list":
            return [sample(shape.member, name)]
        case "map":
            return {"team one/two": sample(shape.value, name)}
        case "string":
            text = f"{name} a/b".ljust(shape.metadata.get("min", 0), ".")
            return shape.enum[0] if shape.enum else text[: shape.metadata.get("max")]
        case "integer" | "long":
            return min(max(7, shape.metadata.get("min", 7)), shape.metadata.get("max", 7_000))
        case "float" | "double":
            return 0.5
        case "boolean":
            return True
        case "timestamp":
            return datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
        case kind:
            raise AssertionError(f"no sample of {kind}")


def wire_call(service: Service, operation: OperationModel, members: dict[str, Any]) -> Call:
    request = create_serializer("rest-json").serialize_to_request(members, operation)
    prepare_request_dict(request, "http://localhost")
    path, _, query = request["url"].removeprefix("http://localhost").partition("?")
    headers = {**request["headers"], "authorization": SCOPE.format(service.name)}
    scope = {
        "method": request["method"],
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items() if isinstance(v, str)],
    }
    body = request["body"] or b""
    call = call_of(scope, body if isinstance(body, bytes) else body.encode())
    assert call is not None
    return call


@pytest.mark.parametrize(("service", "name"), OPERATIONS, ids=[f"{service.name}-{name}" for service, name in OPERATIONS])
def test_request_and_response_survive_botocore(service: Service, name: str) -> None:
    operation: Any = service_model(service.name).operation_model(name)
    members = sample(operation.input_shape)
    call = wire_call(service, operation, members)
    assert (call.service, call.operation, call.region) == (service.name, name, "us-east-1")
    assert service.parse(call, CALLER).members == members
    if operation.output_shape is not None:
        output = sample(operation.output_shape)
        assert read_back(operation, output) == output


def read_back(operation: Any, output: dict[str, Any]) -> Any:
    status, headers, body = serialize_output(operation, output | {"NotAMember": 1})
    parser = create_parser("rest-json")
    parsed = parser.parse({"status_code": status, "headers": headers, "body": body}, operation.output_shape)
    parsed.pop("ResponseMetadata")
    return parsed


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "HttpConfiguration"),
        (b'{"HttpConfiguration": {}}', 'Missing required parameter in HttpConfiguration: "BaseUrl"'),
        (b'{"HttpConfiguration": {"BaseUrl": 7}}', "Invalid type for parameter HttpConfiguration.BaseUrl"),
        (b'{"HttpConfiguration": []}', "Invalid type for parameter HttpConfiguration,"),
        (b'{"HttpConfiguration": {"BaseUrl": "x"}, "AccessConfiguration": {"AccessType": "TOKEN"}}', "must be one of"),
    ],
)
def test_invalid_body_is_a_bad_request(body: bytes, reason: str) -> None:
    service = SERVICES[0]
    call = Call(
        "mediatailor", "CreateSourceLocation", "us-east-1", "test", "rest-json", "POST",
        "/sourceLocation/a", {}, {}, body,
    )  # fmt: skip
    with pytest.raises(ServiceError, match=reason) as caught:
        service.parse(call, CALLER)
    assert (caught.value.code, caught.value.status) == ("BadRequestException", 400)


@pytest.mark.parametrize(
    ("service", "code", "status"),
    [
        ("mediapackage", "UnprocessableEntityException", 422),
        ("mediapackage-vod", "UnprocessableEntityException", 422),
        ("mediapackagev2", "ValidationException", 400),
        ("mediaconnect", "BadRequestException", 400),
    ],
)
def test_every_service_has_its_own_bad_request_error(service: str, code: str, status: int) -> None:
    served = next(found for found in SERVICES if found.name == service)
    path = {"mediapackage": "/channels", "mediapackage-vod": "/packaging_groups", "mediaconnect": "/v1/flows"}
    call = Call(service, "?", "us-east-1", "test", "rest-json", "POST", path.get(service, "/channelGroup"), {}, {}, b"{")
    with pytest.raises(ServiceError, match="not JSON") as caught:
        served.parse(call, CALLER)
    assert (caught.value.code, caught.value.status) == (code, status)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/channels", 501), ("PATCH", "/nothing", 404), ("GET", "/alerts", 400)]
)
def test_operation_that_is_not_emulated_is_reported(method: str, path: str, status: int) -> None:
    call = Call("mediatailor", "?", "us-east-1", "test", "rest-json", method, path, {}, {}, b"")
    with pytest.raises(ServiceError) as caught:
        SERVICES[0].parse(call, CALLER)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ('"HlsManifests": "abc"', "Invalid type for parameter HlsManifests"),
        ('"StartoverWindowSeconds": "7"', "Invalid type for parameter StartoverWindowSeconds"),
        ('"StartoverWindowSeconds": true', "StartoverWindowSeconds is not a number"),
        ('"Segment": {"TsUseAudioRenditionGroup": "true"}', "Invalid type for parameter Segment.TsUseAudioRenditionGroup"),
        ('"Segment": {"SegmentDurationSeconds": 0}', "valid min value: 1"),
        (
            '"ForceEndpointErrorConfiguration": {"EndpointErrorConditions": ["NONE"]}',
            r"EndpointErrorConditions\[0\] must be one of",
        ),
    ],
)
def test_wrong_json_type_or_value_is_rejected(member: str, reason: str) -> None:
    """moto's parser would convert some of these values, and botocore's validator does not check enums in lists."""
    service = next(found for found in SERVICES if found.name == "mediapackagev2")
    body = f'{{"OriginEndpointName": "a", "ContainerType": "TS", {member}}}'
    path = "/channelGroup/a/channel/b/originEndpoint"
    call = Call("mediapackagev2", "?", "us-east-1", "test", "rest-json", "POST", path, {}, {}, body.encode())
    with pytest.raises(ServiceError, match=reason):
        service.parse(call, CALLER)


def test_path_label_is_not_overridden_by_the_body() -> None:
    body = b'{"SourceLocationName": "other", "HttpConfiguration": {"BaseUrl": "http://a"}}'
    path = "/sourceLocation/own"
    call = Call("mediatailor", "?", "us-east-1", "test", "rest-json", "POST", path, {}, {}, body)
    assert SERVICES[0].parse(call, CALLER)["SourceLocationName"] == "own"


def test_path_label_without_plus_has_no_slash() -> None:
    call = Call("mediatailor", "?", "us-east-1", "test", "rest-json", "GET", "/sourceLocation/a/b", {}, {}, b"")
    with pytest.raises(ServiceError) as caught:
        SERVICES[0].parse(call, CALLER)
    assert caught.value.status == 404


def test_bounds_of_integers_are_checked() -> None:
    query = {"maxResults": ["101"]}
    call = Call("mediatailor", "?", "us-east-1", "test", "rest-json", "GET", "/sourceLocations", query, {}, b"")
    with pytest.raises(ServiceError, match="MaxResults must be at most 100"):
        SERVICES[0].parse(call, CALLER)


def test_response_has_the_status_of_the_model() -> None:
    class Model(MediaTailor):
        def tag_resource(self, request: object) -> dict[str, Any]:
            return {}

    service = Service("mediatailor", Model())
    operation = service_model("mediatailor").operation_model("TagResource")
    call = wire_call(service, operation, {"ResourceArn": "arn:aws:x:::y/z", "Tags": {"a": "b"}})
    answer: Response = asyncio.run(service.answer(service.parse(call, CALLER)))
    assert (answer[0], answer[2]) == (204, b"")
