"""The router: our models, MiniStack and the controls behind one port, with faults, call counts and the trail."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from ministack import app as ministack_app
from ministack.core import iam_evaluator
from ministack.core.responses import set_request_account_id, set_request_region

from local_aws.authorize import Caller, UnknownCallerError, caller_of
from local_aws.calls import App, Call, Message, Receive, Send, call_of
from local_aws.control import Control
from local_aws.faults import Strike, drop_connection, fault_response
from local_aws.invocations import Invocation, invocation_of
from local_aws.mediatailor import MediaTailor
from local_aws.rest_json import Request, Response, Service, ServiceError, error_response
from local_aws.trail import TRAIL
from local_aws.trail_records import is_recorded, key_before, record_of

_LOG = logging.getLogger(__name__)


class Router:
    """An ASGI application in front of MiniStack; adding a model is one more service."""

    def __init__(self, control: Control, mediatailor: MediaTailor, *others: Service, inner: App = ministack_app.app) -> None:
        self._control, self._inner = control, inner
        self.models = {service.name: service for service in (Service("mediatailor", mediatailor), *others)}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            with contextlib.suppress(asyncio.CancelledError):
                await self._inner(scope, _until_shutdown(receive, send), send)
            return
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        body = await _body_of(receive)
        if scope["path"].startswith("/_local/"):
            await _send(send, self._control.answer(scope["method"], scope["path"], body))
            return
        call = call_of(scope, body)
        if call is None:
            await self._inner(scope, _replay(body, receive), send)
            return
        await self._serve(call, scope, receive, send)

    async def _serve(self, call: Call, scope: Message, receive: Receive, send: Send) -> None:
        caller = _caller(call)
        principal, invocation = caller.arn if caller else "unknown", invocation_of(call)
        self._control.calls.add(principal, call)
        strike = self._control.faults.take(call, principal, invocation)
        if strike is None and call.service not in self.models and not is_recorded(call):
            await self._inner(scope, _replay(call.body, receive), send)  # may stream
            return
        if strike and strike.fault.when == "before" and await _strikes(strike, call, invocation, scope, send):
            return
        response = await self._answer(call, caller, scope, receive)
        if strike and strike.fault.when == "after" and await _strikes(strike, call, invocation, scope, send):
            return
        await _send(send, response)

    async def _answer(self, call: Call, caller: Caller | None, scope: Message, receive: Receive) -> Response:
        _enter_request(call, scope)
        before = key_before(call)
        if call.service in self.models:
            response = await self._from_model(self.models[call.service], call)
        else:
            response = await _captured(self._inner, scope, _replay(call.body, receive))
        if caller and is_recorded(call):
            try:
                TRAIL.record(record_of(call, caller, response, before))
            except Exception as error:  # the call has had its effect; its answer may hold a secret, so no traceback
                _LOG.error("no trail record of %s %s: %s", call.service, call.operation, type(error).__name__)
        return response

    async def _from_model(self, service: Service, call: Call) -> Response:
        try:
            if failure := iam_evaluator.check_credentials(call.access_key, service.name):
                raise ServiceError(failure.code, failure.message, 403)
            request = service.parse(call, caller_of(call.headers))
            _authorize(service, request)
            return await service.answer(request)
        except UnknownCallerError as error:
            return error_response(ServiceError(error.code, str(error), 403))
        except ServiceError as error:
            return error_response(error)
        except Exception:
            _LOG.exception("%s %s failed", call.service, call.operation)
            return error_response(ServiceError("InternalServiceError", "local_aws failed; see its output", 500))


async def _strikes(strike: Strike, call: Call, invocation: Invocation | None, scope: Message, send: Send) -> bool:
    """Lets the fault take effect; whether it ends the call."""
    match strike.fault.error:
        case "hold":
            await strike.released.wait()
            return False
        case "killed" if invocation:
            invocation.kill()
            drop_connection(scope)
        case "timeout" | "killed":
            drop_connection(scope)
        case _:
            await _send(send, fault_response(strike.fault, call))
    return True


def _authorize(service: Service, request: Request) -> None:
    """The caller's own policies, with the condition keys that the service's authorization page lists."""
    asked = request.get("Tags") or request.get("FlowTags") or {}
    common: dict[str, Any] = {"aws:ViaAWSService": "false"}
    common |= {f"aws:RequestTag/{key}": value for key, value in asked.items()}
    if keys := list(asked) or request.get("TagKeys"):
        common["aws:TagKeys"] = keys
    for operation, arn, tags in service.model.checks_of(request):
        context = common | {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
        action = f"{service.name}:{operation}"
        if iam_evaluator.enforce(request.caller.access_key, action, service.name, request.region, arn, context):
            message = f"User: {request.caller.arn} is not authorized to perform: {action} on resource: {arn}"
            raise ServiceError("AccessDeniedException", message, 403)


def _caller(call: Call) -> Caller | None:
    set_request_account_id(call.access_key)
    try:
        return caller_of(call.headers)
    except UnknownCallerError:
        return None


def _enter_request(call: Call, scope: Message) -> None:
    """Account, Region and signature of the request, where MiniStack's functions look for them."""
    set_request_account_id(ministack_app._request_account_scope(call.access_key))
    set_request_region(call.region)
    client = (scope.get("client") or ("127.0.0.1",))[0]
    iam_evaluator.pin_request_origin(client, False)
    iam_evaluator.pin_signed_request(call.method, call.raw_path, call.query, scope["headers"])
    iam_evaluator.pin_signed_body(call.body)


async def _captured(app: App, scope: Message, receive: Receive) -> Response:
    started: dict[str, Any] = {}
    chunks: list[bytes] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.update(message)
        else:
            chunks.append(message.get("body", b""))

    await app(scope, receive, send)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in started["headers"]}
    return started["status"], headers, b"".join(chunks)


async def _send(send: Send, response: Response) -> None:
    status, headers, body = response
    pairs = {name.lower(): value for name, value in headers.items()} | {"content-length": str(len(body))}
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


async def _body_of(receive: Receive) -> bytes:
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    left: list[Mapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return left.pop() if left else await receive()

    return replay


def _until_shutdown(receive: Receive, send: Send) -> Receive:
    """MiniStack's own shutdown imports modules and asks Docker; this process just ends."""

    async def next_message() -> Message:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            await asyncio.Future()
        return message

    return next_message
