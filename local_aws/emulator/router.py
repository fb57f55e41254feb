"""The ASGI application: emulated services, MiniStack and controls, with faults, call counts, traces and trail events."""

import asyncio
import contextlib
import logging
from typing import Any

from ministack import app as ministack_app
from ministack.core import iam_evaluator
from ministack.core.responses import set_request_account_id, set_request_region

from local_aws.emulator.api_calls import Call, call_of
from local_aws.emulator.asgi import App, Message, Receive, Response, Send, capture, read_body, replay, send_response
from local_aws.emulator.authorization import Caller, UnknownCallerError, caller_of
from local_aws.emulator.control import Control
from local_aws.emulator.faults import ActiveFault, drop_connection, fault_response
from local_aws.emulator.invocations import Invocation, invocation_of
from local_aws.emulator.rest_json import Request, Service, ServiceError, error_response
from local_aws.emulator.services.mediatailor import MediaTailor
from local_aws.emulator.trail import TRAIL
from local_aws.emulator.trail_records import is_recorded, record_of, retired_grant

_LOG = logging.getLogger(__name__)


class Router:
    """Sends calls of the services in `models` to their models and all other calls to MiniStack."""

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
        body = await read_body(receive)
        if scope["path"].startswith("/_local/"):
            await send_response(send, self._control.answer(scope["method"], scope["path"], body))
            return
        call = call_of(scope, body)
        if call is None:
            await self._inner(scope, replay(body, receive), send)
            return
        await self._serve(call, scope, receive, send)

    async def _serve(self, call: Call, scope: Message, receive: Receive, send: Send) -> None:
        caller = _caller(call)
        principal, invocation = caller.arn if caller else "unknown", invocation_of(call)
        self._control.calls.add(principal, call)
        faults = self._control.faults.take(call, principal, invocation)
        if not faults and call.service not in self.models and not is_recorded(call):
            send = self._control.trace.add(call, principal, invocation, send)
            await self._inner(scope, replay(call.body, receive), send)  # the response may be a stream
            return
        if await _inject("before", faults, call, invocation, scope, send):
            self._control.trace.add(call, principal, invocation, send, "before")
            return
        fails = any(not fault.is_hold for fault in faults)
        send = self._control.trace.add(call, principal, invocation, send, "after" if fails else None)
        response = await self._answer(call, caller, scope, receive)
        if not await _inject("after", faults, call, invocation, scope, send):
            await send_response(send, response)

    async def _answer(self, call: Call, caller: Caller | None, scope: Message, receive: Receive) -> Response:
        _enter_request(call, scope)
        grant = retired_grant(call)
        if call.service in self.models:
            response = await self._from_model(self.models[call.service], call)
        else:
            response = await capture(self._inner, scope, replay(call.body, receive))
        if caller and is_recorded(call):
            try:
                TRAIL.record(record_of(call, caller, response, grant))
            except Exception as error:
                # The call has taken effect, so its response must go out. No traceback: the response may hold a secret.
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


async def _inject(
    when: str, faults: list[ActiveFault], call: Call, invocation: Invocation | None, scope: Message, send: Send
) -> bool:
    """Applies the faults to a call that apply before or after its effect. Returns whether that ends the call."""
    for fault in faults:
        if fault.spec.when != when:
            continue
        match fault.spec.error:
            case "hold":
                await fault.wait()
                continue
            case "killed" if invocation:
                invocation.kill()
                drop_connection(scope)
            case "timeout" | "killed":
                drop_connection(scope)
            case _:
                await send_response(send, fault_response(fault.spec, call))
        return True
    return False


def _authorize(service: Service, request: Request) -> None:
    """Raises ServiceError if the caller's policies do not allow the request.

    The context has the condition keys that the service authorization reference lists for the service.
    """
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
            raise service.denied(message)


def _caller(call: Call) -> Caller | None:
    set_request_account_id(call.access_key)
    try:
        return caller_of(call.headers)
    except UnknownCallerError:
        return None


def _enter_request(call: Call, scope: Message) -> None:
    """Sets account, Region and signature of the request where MiniStack's functions look for them."""
    set_request_account_id(ministack_app._request_account_scope(call.access_key))
    set_request_region(call.region)
    client = (scope.get("client") or ("127.0.0.1",))[0]
    iam_evaluator.pin_request_origin(client, False)
    iam_evaluator.pin_signed_request(call.method, call.raw_path, call.query, scope["headers"])
    iam_evaluator.pin_signed_body(call.body)


def _until_shutdown(receive: Receive, send: Send) -> Receive:
    """Returns a `receive` that hides the shutdown: MiniStack's own would import modules and call Docker."""

    async def next_message() -> Message:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            await asyncio.Future()
        return message

    return next_message
