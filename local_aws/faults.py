"""Faults that tests inject into calls: an error before or after the effect, or a connection that just ends."""

import json
from typing import Literal
from xml.sax.saxutils import escape

from hypercorn.asyncio.tcp_server import TCPServer
from pydantic import BaseModel, ConfigDict, Field, field_validator

from local_aws.calls import Call, Message, service_model
from local_aws.rest_json import Response, ServiceError, error_response


class Fault(BaseModel):
    """The next `times` calls of this operation answer `error`; `timeout` drops the connection instead."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str
    operation: str
    error: str = Field(min_length=1)
    status: int = Field(default=400, ge=400, le=599)
    times: int = Field(default=1, ge=1)
    when: Literal["before", "after"] = "before"
    message: str = ""

    @field_validator("service")
    @classmethod
    def _known(cls, service: str) -> str:
        try:
            service_model(service)
        except Exception:
            raise ValueError("not a service that boto3 knows") from None
        return service


class Faults:
    """The faults still to come, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, list[int]]] = []

    def add(self, fault: Fault) -> None:
        if fault.operation not in service_model(fault.service).operation_names:
            raise ValueError(f"{fault.service} has no operation {fault.operation}")
        self._waiting.append((fault, [fault.times]))

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, call: Call) -> Fault | None:
        """The fault that this call meets, counted down."""
        for entry in self._waiting:
            fault, left = entry
            if (fault.service, fault.operation) == (call.service, call.operation):
                left[0] -= 1
                if left[0] == 0:
                    self._waiting.remove(entry)
                return fault
        return None


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
