"""Faults that tests inject into calls: an error before or after the effect, a lost answer, a killed function, a held call."""

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Literal, Self
from xml.sax.saxutils import escape

from hypercorn.asyncio.tcp_server import TCPServer
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from local_aws.calls import Call, Calls, Message, service_model
from local_aws.invocations import Invocation
from local_aws.rest_json import Response, ServiceError, error_response


class Fault(BaseModel):
    """What the calls it names meet, from the `call`-th of them on, `times` times.

    Calls are named by service and operation, by the request for which a function makes them, by a regular expression for
    the caller's ARN, or by all of these. A `lasting` fault pins the first call that it meets: until the faults are cleared,
    every such call of that caller meets it. The error `timeout` drops the connection, `killed` ends the function's process,
    `hold` lets the call wait until the faults are cleared.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str | None = None
    operation: str | None = None
    request: str | None = None
    caller: str | None = None
    call: int = Field(default=1, ge=1)
    error: str = Field(min_length=1)
    status: int = Field(default=400, ge=400, le=599)
    times: int = Field(default=1, ge=1)
    when: Literal["before", "after"] = "before"
    message: str = ""
    lasting: bool = False

    @field_validator("caller")
    @classmethod
    def _readable(cls, caller: str | None) -> str | None:
        try:
            re.compile(caller or "")
        except re.error:
            raise ValueError("not a regular expression") from None
        return caller

    @model_validator(mode="after")
    def _names_calls(self) -> Self:
        if (self.service is None) != (self.operation is None):
            raise ValueError("service and operation belong together")
        if self.service is None and self.request is None and self.caller is None:
            raise ValueError("no call is named")
        if self.service is not None:
            _must_exist(self.service, self.operation or "")
        return self

    def names(self, call: Call, principal: str, request_id: str | None) -> bool:
        """Is the call one of those that it is for?"""
        return (
            (self.service is None or (self.service, self.operation) == (call.service, call.operation))
            and (self.request is None or self.request == request_id)
            and (self.caller is None or re.search(self.caller, principal) is not None)
        )


def _must_exist(service: str, operation: str) -> None:
    try:
        operations = service_model(service).operation_names
    except Exception:
        raise ValueError("not a service that boto3 knows") from None
    if operation not in operations:
        raise ValueError(f"{service} has no operation {operation}")


@dataclass
class Strike:
    """A fault on its way: how many of its calls came, how many it struck, and which call it lasts for."""

    fault: Fault
    seen: int = 0
    struck: int = 0
    pinned: tuple[str, str, str] | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def meets(self, call: Call, principal: str, request_id: str | None) -> bool:
        if not self.fault.names(call, principal, request_id):
            return False
        same = (principal, call.service, call.operation)
        if self.pinned:
            return self.pinned == same
        self.seen += 1
        if self.seen < self.fault.call or self.struck == self.fault.times:
            return False
        self.struck += 1
        self.pinned = same if self.fault.lasting else None
        return True


class Faults:
    """The faults asked for, in that order; `met` counts the calls that met them."""

    def __init__(self) -> None:
        self._strikes: list[Strike] = []
        self.met = Calls()

    def add(self, fault: Fault) -> None:
        self._strikes.append(Strike(fault))

    def clear(self) -> None:
        """Forgets them all, and lets the calls that are held go on."""
        for strike in self._strikes:
            strike.released.set()
        self._strikes.clear()
        self.met.counts.clear()

    def take(self, call: Call, principal: str, invocation: Invocation | None) -> Strike | None:
        """The fault that this call meets."""
        request_id = invocation.request_id if invocation else None
        found = next((strike for strike in self._strikes if strike.meets(call, principal, request_id)), None)
        if found:
            self.met.add(principal, call)
        return found


def fault_response(fault: Fault, call: Call) -> Response:
    """The error in the protocol of the call, so that every SDK reads its code."""
    message = fault.message or f"Fault injected {fault.when} {call.service} {call.operation}"
    if call.protocol == "json":
        content = call.headers.get("content-type", "application/x-amz-json-1.1")
        return fault.status, {"Content-Type": content}, json.dumps({"__type": fault.error, "message": message}).encode()
    error = f"<Code>{escape(fault.error)}</Code><Message>{escape(message)}</Message>"
    if call.protocol == "rest-xml":
        return fault.status, {"Content-Type": "application/xml"}, f"<Error>{error}</Error>".encode()
    if call.protocol == "query":
        xml = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error><RequestId>local</RequestId></ErrorResponse>"
        return fault.status, {"Content-Type": "text/xml"}, xml.encode()
    return error_response(ServiceError(fault.error, message, fault.status))


_OPEN: dict[tuple[str, int], TCPServer] = {}


def track_connections() -> None:
    """Remembers the open connections; ASGI has no way to end one without an answer."""
    serve = TCPServer.run

    async def run(self: TCPServer) -> None:
        peer = self.writer.get_extra_info("peername")[:2]
        _OPEN[peer] = self
        try:
            await serve(self)
        finally:
            _OPEN.pop(peer, None)

    TCPServer.run = run


def drop_connection(scope: Message) -> None:
    _OPEN[tuple(scope["client"][:2])].writer.transport.abort()
