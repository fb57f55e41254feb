"""The embedded AWS in the process of the test, so that tests can act between any two calls."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from ministack.core.responses import request_scope
from ministack.services import dynamodb, kms, secretsmanager

from local_aws.emulator import clock, gaps
from local_aws.emulator.account import ACCOUNT, REGION
from local_aws.emulator.api_calls import Call, call_of
from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.control import Control
from local_aws.emulator.faults import Fault
from local_aws.emulator.router import Router
from local_aws.emulator.services.mediatailor import MediaTailor
from local_aws.emulator.services.origin import Origin

ENDPOINT = "http://aws.invalid"
_Answer = tuple[int, dict[str, str], bytes]
_STARTED: _Answer = 200, {}, b'{"executionArn": "arn:aws:states:::execution:a:b", "startDate": 0}'
_PUBLISHED: _Answer = 200, {}, b'{"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}'


class Crash(BaseException):
    """The process of the function ends. It is no Exception, so no handler catches it."""


@dataclass
class Run:
    """One invocation of a function: what happens around its n-th call or its first call of an operation, and its last reads."""

    before: dict[int | str, Callable[[Call], None]]
    after: dict[int | str, Callable[[Call], None]]
    ticket: str
    onto: tuple[str, str] | None = None
    calls: int = 0
    read: dict[str, int] = field(default_factory=dict)


class _Loop(asyncio.SelectorEventLoop):
    """Runs the timers of the models by the clock of the assumptions."""

    def time(self) -> float:
        return clock.seconds()


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> Any:
        yield self._content


class InProcessAws:
    """`before` and `after` see every call, and `passed` every passage of time. Calls of functions also run the plan of their
    invocation.
    """

    def __init__(self) -> None:
        gaps.apply()
        for name in ("kms", "dynamodb", "secretsmanager"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.mediatailor = MediaTailor()
        self.control = Control(Origin(self.mediatailor.locations), ACCOUNT, REGION)
        self._router = Router(self.control, self.mediatailor)
        self._loop = _Loop()
        self.before: Callable[[Call, Run | None], None] = lambda call, run: None
        self.after: Callable[[Call], None] = lambda call: None
        self.passed: Callable[[], None] = lambda: None
        self.runs: list[Run] = []
        self.number = 0
        self.started: list[str] = []
        self._owner = cast("Any", boto3.Session("test", "test", region_name=REGION))
        self._owner.events.register("before-send", lambda request, **_: self._answer(request, _call(request), None))
        self._clients: dict[str, Any] = {}

    def attach(self, session: Any) -> None:
        """Routes the calls of a session's clients here, as calls of a function."""
        session.events.register("before-send", lambda request, **_: self._of_function(request), unique_id="model")

    def client(self, service: str) -> Any:
        """Returns a client of the root user. Its calls belong to no invocation and are not retried."""
        if service not in self._clients:
            once = Config(retries={"total_max_attempts": 1})
            self._clients[service] = self._owner.client(service, endpoint_url=ENDPOINT, config=once)
        return self._clients[service]

    def reset(self, **assumptions: Any) -> None:
        """Empties the account and sets assumptions. Ids are assigned in sequence."""
        self._loop.close()
        self._loop = _Loop()
        for service in (dynamodb, kms, secretsmanager):
            service.reset()
        for location in self.mediatailor.locations.everywhere():
            self.mediatailor.locations.remove(location)
        CURRENT.reset()
        CURRENT.update(assumptions | {"trail": {"lose": 1}})
        self.control.faults.clear()
        self.runs.clear()
        self.started.clear()
        numbers = itertools.count(1)
        kms.new_uuid = lambda: f"00000000-0000-4000-8000-{next(numbers):012d}"

    def pass_time(self, seconds: float) -> None:
        """Advances the clock and runs the timers that are due."""
        CURRENT.update({"clockSeconds": clock.seconds() + seconds})
        for _ in range(2):
            self._loop.run_until_complete(asyncio.sleep(0))
        self.number += 1  # what time changes is later than what the last call read
        self.passed()

    def fail(self, call: Call, error: str, status: int, times: int, when: Any) -> None:
        """Makes this call and its retries fail."""
        fault = Fault(service=call.service, operation=call.operation, error=error, status=status, times=times, when=when)
        self.control.faults.add(fault)

    def _of_function(self, request: Any) -> AWSResponse:
        run, call = self.runs[-1], _call(request)
        run.calls += 1
        places = (run.calls, call.operation)
        for place in places:
            run.before.pop(place, _nothing)(call)
        response = self._answer(request, call, run)
        for place in places:
            run.after.pop(place, _nothing)(call)
        return response

    def _answer(self, request: Any, call: Call, run: Run | None) -> AWSResponse:
        self.number += 1
        self.before(call, run)
        if call.service == "stepfunctions":  # the steps of the model replace executions
            self.started.append(call.body.decode())
            status, headers, body = _STARTED
        elif call.service == "events":  # nothing subscribes
            status, headers, body = _PUBLISHED
        else:
            status, headers, body = self._loop.run_until_complete(self._serve(request))
        self.after(call)
        return AWSResponse(request.url, status, cast("Any", headers), _Body(body))

    async def _serve(self, request: AWSRequest) -> _Answer:
        answered: dict[str, Any] = {}
        chunks: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": _content(request), "more_body": False}

        async def send(message: Any) -> None:
            answered.update(message) if message["type"] == "http.response.start" else chunks.append(message.get("body", b""))

        await self._router(_scope(request), receive, send)
        return answered["status"], {n.decode(): v.decode() for n, v in answered["headers"]}, b"".join(chunks)


def _nothing(_: Call) -> None:
    """The default action at a call."""


def _content(request: AWSRequest) -> bytes:
    body: Any = request.body or b""
    return body.encode() if isinstance(body, str) else bytes(body)


def _text(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


def _scope(request: Any) -> dict[str, Any]:
    parts = urlsplit(request.url)
    return {
        "type": "http",
        "method": request.method,
        "path": parts.path or "/",
        "raw_path": (parts.path or "/").encode(),
        "query_string": parts.query.encode(),
        "headers": [(name.lower().encode(), _text(value)) for name, value in request.headers.items()],
        "client": ("127.0.0.1", 1),
        "http_version": "1.1",
        "scheme": "http",
    }


def _call(request: Any) -> Call:
    call = call_of(_scope(request), _content(request))
    assert call is not None, "a call without a signature"
    return call


def stored_grants() -> list[dict[str, Any]]:
    """Returns every grant in the store of KMS."""
    with request_scope(ACCOUNT, REGION):
        return [dict(grant) for grant in kms._grants.values()]


def stored_secret(arn: str) -> tuple[dict[str, Any], str]:
    """Returns a secret and its policy from the store of Secrets Manager. Both are empty if it does not exist."""
    with request_scope(ACCOUNT, REGION), suppress(TypeError):
        found = secretsmanager._resolve(arn)[1] or {}
        return dict(found), str(secretsmanager._resource_policies.get(arn) or "")
    return {}, ""
