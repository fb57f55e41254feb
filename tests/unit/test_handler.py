"""The handler checks its input, translates errors, and logs no values."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from latchkey import observability
from latchkey.errors import AccessDenied, InvalidRequest, TransientAwsError
from latchkey.handler import step
from latchkey.onboarding.receive_request import RequestEvent, receive_request
from latchkey.registry import Registry
from latchkey.requests.models import ONBOARDING_REQUESTED
from latchkey.requests.parsing import AnyOnboarding
from latchkey.wire import WireModel
from tests.unit.samples import PLACE, TENANTS, TOKEN, detail

Logs = Callable[[], list[dict[str, Any]]]
STATE_MACHINE = PLACE.arn("states", "stateMachine:onboard-access")
MACHINES = {ONBOARDING_REQUESTED: STATE_MACHINE}


@dataclass
class Context:
    """The context that Lambda passes with an event."""

    function_name: str = "create_key"
    function_version: str = "1"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = PLACE.arn("lambda", "function:create_key")
    aws_request_id: str = "00000000-0000-0000-0000-000000000001"


class Input(WireModel):
    request_id: str | None = None
    request: AnyOnboarding | None = None
    note: str = ""


class Output(WireModel):
    key_arn: str


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Logs:
    """The log lines of the function."""
    stream = io.StringIO()
    monkeypatch.setattr(observability.logger.registered_handler, "stream", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def invoke(event: dict[str, Any], work: Callable[[Any], Any] = lambda _: Output(keyArn="arn:key"), model: Any = Input) -> Any:
    return step(model)(work)(event, Context())  # type: ignore[arg-type]


def metrics(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]


def test_a_handler_reads_and_returns_json() -> None:
    given: list[Input] = []

    def take(event: Input) -> Output:
        given.append(event)
        return Output(keyArn="arn:key")

    assert invoke({"requestId": "request-1", "request": detail()}, take) == {"keyArn": "arn:key"}
    assert given[0].request is not None
    assert given[0].request.request_id == "request-1"


def test_an_invalid_event_is_reported_by_path_without_values() -> None:
    with pytest.raises(InvalidRequest) as raised:
        invoke({"note": [TOKEN], "requestId": {"a": TOKEN}})
    assert [problem.path for problem in raised.value.problems] == ["note", "requestId"]
    assert TOKEN not in str(raised.value)


def test_an_invalid_request_in_the_event_is_reported_by_its_paths() -> None:
    with pytest.raises(InvalidRequest) as raised:
        invoke({"request": detail({"secret.value": TOKEN, "key.alias": "alias/aws/kms"})})
    assert [problem.path for problem in raised.value.problems] == ["key.alias", "secret.value"]
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(
    "event",
    [{"requestId": "request-1"}, {"request": detail()}, {"requestId": "request-1", "request": None, "note": TOKEN}],
    ids=["id", "request", "id first"],
)
def test_every_log_line_of_a_success_has_the_request_id(logs: Logs, event: dict[str, Any]) -> None:
    invoke(event)
    assert logs()
    assert {line["correlation_id"] for line in logs()} == {"request-1"}


def test_every_log_line_of_a_failure_has_the_request_id_and_the_reason(logs: Logs) -> None:
    def refuse(_: Input) -> Output:
        raise TransientAwsError("the lease is held")

    with pytest.raises(TransientAwsError):
        invoke({"requestId": "request-1"}, refuse)
    [line] = logs()
    assert (line["correlation_id"], line["error"], line["reason"]) == ("request-1", "TransientAwsError", "the lease is held")


def test_the_log_of_receive_request_has_the_request_id(logs: Logs, registry: Registry) -> None:
    stepfunctions = boto3.client("stepfunctions")
    with Stubber(stepfunctions) as stubber:
        stubber.add_response("start_execution", {"executionArn": STATE_MACHINE, "startDate": 0})
        event = {"id": "event-1", "detail": detail()}
        invoke(event, lambda received: receive_request(received, registry, TENANTS, stepfunctions, MACHINES), RequestEvent)
    assert {line.get("correlation_id") for line in logs()} == {"request-1"}


def test_a_request_id_is_not_logged_for_the_next_event(logs: Logs) -> None:
    invoke({"requestId": "request-1"})
    invoke({"note": "nobody's"})
    assert [line.get("correlation_id") for line in logs()] == ["request-1", None]


@pytest.mark.parametrize("request_of", [{"requestId": 7}, {"request": "text"}, {"request": {"requestId": [1]}}, {}])
def test_a_request_id_that_is_not_text_is_not_logged(logs: Logs, request_of: dict[str, Any]) -> None:
    if request_of:
        with pytest.raises(InvalidRequest):
            invoke(request_of)
    else:
        invoke(request_of)
    assert [line.get("correlation_id") for line in logs()] == [None]


@pytest.mark.parametrize("event_id", [{TOKEN: TOKEN}, [TOKEN], 4711, True, None], ids=repr)
@pytest.mark.parametrize("model", [Input, RequestEvent])
def test_an_event_id_that_is_not_text_is_not_logged(logs: Logs, model: Any, event_id: Any) -> None:
    with pytest.raises(InvalidRequest):
        invoke({"id": event_id, "note": 7, "detail": TOKEN}, model=model)
    [line] = logs()
    assert line.get("correlation_id") is None
    assert TOKEN not in json.dumps(line)


@pytest.mark.parametrize("event_id", ["", f"{TOKEN}\n", f"{TOKEN} and more", TOKEN * 10], ids=repr)
def test_an_event_id_that_is_not_a_valid_request_id_is_not_logged(logs: Logs, event_id: str) -> None:
    invoke({"id": event_id, "detail": TOKEN}, model=RequestEvent)
    [line] = logs()
    assert line.get("correlation_id") is None
    assert TOKEN not in json.dumps(line)


def test_an_event_id_is_the_correlation_id_without_a_request_id(logs: Logs) -> None:
    with pytest.raises(InvalidRequest):
        invoke({"id": "event-1", "note": 7, "detail": {"requestId": [TOKEN]}})
    assert [line["correlation_id"] for line in logs()] == ["event-1"]


def test_neither_event_nor_result_is_logged(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke({"requestId": "request-1", "note": TOKEN}, lambda _: Output(keyArn=f"arn:{TOKEN}"))
    assert logs()
    assert TOKEN not in json.dumps(logs())
    assert TOKEN not in "".join(capsys.readouterr())


def test_an_aws_error_is_raised_as_a_latchkey_error_without_the_value(logs: Logs) -> None:
    def refuse(_: Input) -> Output:
        response: Any = {"Error": {"Code": "AccessDeniedException", "Message": TOKEN}}
        raise ClientError(response, "PutSecretValue")

    with pytest.raises(AccessDenied):
        invoke({"requestId": "request-1"}, refuse)
    assert logs()
    assert TOKEN not in json.dumps(logs())


def test_a_success_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    invoke({"requestId": "request-1"})
    [line] = metrics(capsys)
    assert line["StepSucceeded"] == [1.0]
    assert line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Latchkey"


def test_a_failure_is_counted_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidRequest):
        invoke({"note": 7})
    [line] = metrics(capsys)
    assert line["StepFailed"] == [1.0]
    assert line["error"] == "InvalidRequest"
    assert "StepSucceeded" not in line


def nested(depth: int) -> Any:
    document: Any = {}
    for _ in range(depth):
        document = {"a": document}
    return document


@pytest.mark.parametrize(
    "request_detail",
    [detail() | {"notes": nested(300)}, detail({"resource.sourceLocation": "sports-\ud800"})],
    ids=["nested deeply", "lone surrogate"],
)
def test_an_event_that_is_not_json_still_starts_the_execution_that_rejects_it(
    request_detail: dict[str, Any], registry: Registry
) -> None:
    stepfunctions = boto3.client("stepfunctions")
    with Stubber(stepfunctions) as stubber:
        expected = {"stateMachineArn": STATE_MACHINE, "name": ANY, "input": ANY}
        stubber.add_response("start_execution", {"executionArn": STATE_MACHINE, "startDate": 0}, expected)
        event = {"id": "event-1", "detail": request_detail}
        answer = invoke(
            event, lambda received: receive_request(received, registry, TENANTS, stepfunctions, MACHINES), RequestEvent
        )
    assert answer["requestId"] == "request-1"


def test_no_aws_response_is_recorded_by_a_patched_client() -> None:
    # In a separate process, because a patch affects every client. The directory makes the tracer assume that it runs in Lambda.
    code = "import latchkey.handler; from aws_xray_sdk.core import patcher; print(sorted(patcher._PATCHED_MODULES))"
    environment = os.environ | {"LAMBDA_TASK_ROOT": "/var/task", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
