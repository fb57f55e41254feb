"""Containers can make the API calls of the functions, and no calls that could run code on this machine."""

import asyncio
import inspect
import re
from typing import Any

import pytest

from latchkey.aws import clients
from local_aws.emulator.account import ACCOUNT, REGION
from local_aws.emulator.control import Control
from local_aws.emulator.router import Router
from local_aws.emulator.service_models import service_model
from local_aws.emulator.services.mediatailor import MediaTailor
from local_aws.emulator.services.origin import Origin
from local_aws.tools.container_bridge import ContainerBridge
from tests.contract.artifacts import TEMPLATE_TEXT


async def _reached(scope: Any, receive: Any, send: Any) -> None:
    """Replaces MiniStack, and responds to every request that the bridge allows."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture(scope="module")
def bridge() -> ContainerBridge:
    mediatailor = MediaTailor()
    control = Control(Origin(mediatailor.locations), ACCOUNT, REGION)
    return ContainerBridge(Router(control, mediatailor, inner=_reached))


def status(bridge: ContainerBridge, service: str, *, target: str = "", method: str = "POST", path: str = "/") -> int:
    """Returns the status of a request that is signed for a service, or unsigned for ""."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    signature = f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    headers = {"authorization": signature if service else "", "x-amz-target": target}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items() if value]
    path, _, query = path.partition("?")
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": pairs}
    asyncio.run(bridge(scope, receive, send))
    found: int = sent[0]["status"]
    return found


@pytest.mark.parametrize(
    ("service", "target"),
    [
        ("kms", "TrentService.CreateKey"),
        ("secretsmanager", "secretsmanager.CreateSecret"),
        ("dynamodb", "DynamoDB_20120810.PutItem"),
        ("events", "AWSEvents.PutEvents"),
        ("states", "AWSStepFunctions.StartExecution"),
        ("iam", ""),
    ],
)
def test_calls_of_functions_are_allowed(bridge: ContainerBridge, service: str, target: str) -> None:
    assert status(bridge, service, target=target) == 200


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_objects_in_the_data_bucket_are_allowed(bridge: ContainerBridge, method: str) -> None:
    assert status(bridge, "s3", method=method, path="/latchkey-databucket-0123456789abc/manifests/a.jsonl") == 200


def test_emulated_service_is_allowed(bridge: ContainerBridge) -> None:
    assert status(bridge, "mediatailor", method="GET", path="/sourceLocation/absent") != 403


@pytest.mark.parametrize(
    "request_",
    [
        {"service": "lambda", "path": "/2015-03-31/functions"},
        {"service": "kms", "path": "/2015-03-31/functions"},
        {"service": "cloudformation", "path": "/?Action=CreateStack"},
        {"service": "", "path": "/?Action=CreateStack"},
        {"service": "kms", "target": "AmazonEC2ContainerServiceV20141113.RunTask"},
        {"service": "states", "target": "AWSStepFunctions.CreateStateMachine"},
        {"service": "events", "target": "AWSEvents.PutTargets"},
        {"service": "lambda/ Credential=test/20260101/us-east-1/iam", "path": "/?Action=CreateFunction"},
        {"service": "s3", "method": "PUT", "path": "/latchkey-local-artifacts/code.zip"},
        {"service": "s3", "method": "DELETE", "path": "/latchkey-databucket-0123456789abc/manifests/a.jsonl"},
        {"service": "iam", "method": "PUT", "path": "/_local/assumptions"},
        {"service": "", "method": "GET", "path": "/_ministack/lambda-code/a"},
    ],
)
def test_calls_that_could_run_code_on_this_machine_are_denied(bridge: ContainerBridge, request_: dict[str, str]) -> None:
    assert status(bridge, **request_) == 403


def target_prefix(service: str) -> str:
    """Returns what X-Amz-Target starts with in calls of a service, or "" for a service without this header."""
    return str(service_model(service).metadata.get("targetPrefix", ""))


# Stacks can run code, and the operation is in the body, which the bridge does not read. Only guard_prefixes calls
# CloudFormation, and containers cannot send its answer either.
# The operation of a call to S3 is its method and path.
_OTHERS = {"cloudformation", "s3"}
_SERVICES = [name for name in re.findall(r"_client\(\"(\w+)\"", inspect.getsource(clients)) if name not in _OTHERS]


# Only the roles of state machines that start others allow these:
# https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html#sync-async-iam-policies
_OF_STATE_MACHINES = {"DescribeRule", "PutRule", "PutTargets", "StopExecution"}


@pytest.mark.parametrize("service", _SERVICES)
def test_operations_in_the_template_are_allowed(bridge: ContainerBridge, service: str) -> None:
    signed = service_model(service).signing_name
    prefix = target_prefix(service)
    operations = set(re.findall(rf"\b{signed}:([A-Z]\w+)", TEMPLATE_TEXT)) - _OF_STATE_MACHINES

    assert operations
    assert {status(bridge, signed, target=f"{prefix}.{name}" if prefix else "") for name in operations} == {200}
