"""Fault injection: an error before or after a call takes effect, a lost response, a killed function, a delayed call."""

import asyncio
import json
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, Self
from xml.sax.saxutils import escape

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from local_aws.emulator.api_calls import Call
from local_aws.emulator.asgi import Message, Response
from local_aws.emulator.call_counts import CallCounts
from local_aws.emulator.http_server import ABORT
from local_aws.emulator.invocations import Invocation
from local_aws.emulator.rest_json import ServiceError, error_response
from local_aws.emulator.service_models import service_model


class Fault(BaseModel):
    """A fault for the calls that it selects, from the `call`-th of them on, `times` times.

    It selects calls by service and operation, by the request that the calling function works on, by regular expressions for
    the caller's ARN and the body of the call, or by a combination. A `lasting` fault stays with the first call that it hits:
    until the faults are deleted, it hits every call with that caller, service and operation. The error `timeout` drops the
    connection, `killed` kills the function, and `hold` delays the call until the held calls or all faults are deleted. A call
    can be held and then fail.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str | None = None
    operation: str | None = None
    request: str | None = None
    caller: str | None = None
    body: str | None = None
    call: int = Field(default=1, ge=1)
    error: str = Field(min_length=1)
    status: int = Field(default=400, ge=400, le=599)
    times: int = Field(default=1, ge=1)
    when: Literal["before", "after"] = "before"
    message: str = ""
    lasting: bool = False

    @field_validator("caller", "body")
    @classmethod
    def _is_pattern(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error:
            raise ValueError("must be a regular expression") from None
        return pattern

    @model_validator(mode="after")
    def _selects_calls(self) -> Self:
        if (self.service is None) != (self.operation is None):
            raise ValueError("service and operation must be set together")
        if self.service is None and self.request is None and self.caller is None:
            raise ValueError("set service and operation, request or caller")
        if self.service is not None:
            _must_exist(self.service, self.operation or "")
        return self

    def selects(self, call: Call, principal: str, request_id: str | None) -> bool:
        return (
            (self.service is None or (self.service, self.operation) == (call.service, call.operation))
            and (self.request is None or self.request == request_id)
            and (self.caller is None or re.search(self.caller, principal) is not None)
            and (self.body is None or re.search(self.body, call.body.decode(errors="replace")) is not None)
        )


# Operations of AWS that the emulator has, and the pinned version of botocore does not.
_NEWER = {"secretsmanager": {"ListResourcePolicies"}}


def _must_exist(service: str, operation: str) -> None:
    try:
        operations = service_model(service).operation_names
    except Exception:
        raise ValueError("boto3 has no such service") from None
    if operation not in {*operations} | _NEWER.get(service, set()):
        raise ValueError(f"{service} has no operation {operation}")


@dataclass
class ActiveFault:
    """A fault with the number of calls that it selected, hit and holds now.

    `pinned` is the call that a lasting fault stays with.
    """

    spec: Fault
    selected: int = 0
    hit: int = 0
    holding: int = 0
    pinned: tuple[str, str, str] | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_hold(self) -> bool:
        return self.spec.error == "hold"

    async def wait(self) -> None:
        """Waits until the held calls are released."""
        self.holding += 1
        try:
            await self.released.wait()
        finally:
            self.holding -= 1

    def hits(self, call: Call, principal: str, request_id: str | None) -> bool:
        if not self.spec.selects(call, principal, request_id):
            return False
        same = (principal, call.service, call.operation)
        if self.pinned:
            return self.pinned == same
        self.selected += 1
        if self.selected < self.spec.call or self.hit == self.spec.times:
            return False
        self.hit += 1
        self.pinned = same if self.spec.lasting else None
        return True


class Faults:
    """The active faults, oldest first. `injected` counts the calls that were hit."""

    def __init__(self) -> None:
        self._active: list[ActiveFault] = []
        self.injected = CallCounts()

    def add(self, fault: Fault) -> None:
        self._active.append(ActiveFault(fault))

    def release(self, request_id: str | None = None) -> None:
        """Lets calls that are held continue, or only those of the faults for one request. The other faults stay."""
        for fault in self._active:
            if request_id is None or fault.spec.request == request_id:
                fault.released.set()

    def held(self) -> list[str]:
        """Returns the requests for which a fault holds a call now."""
        return sorted({fault.spec.request for fault in self._active if fault.holding and fault.spec.request})

    def clear(self) -> None:
        """Removes all faults, and lets calls that are held continue."""
        self.release()
        self._active.clear()
        self.injected.clear()

    def take(self, call: Call, principal: str, invocation: Invocation | None) -> list[ActiveFault]:
        """Returns the faults that hit a call: at most one that holds it, followed by at most one other."""
        request_id = invocation.request_id if invocation else None
        found = []
        for holds in (True, False):
            faults = (fault for fault in self._active if fault.is_hold is holds)
            found += [*islice((fault for fault in faults if fault.hits(call, principal, request_id)), 1)]
        if found:
            self.injected.add(principal, call)
        return found


def fault_response(fault: Fault, call: Call) -> Response:
    """Returns the error in the protocol of the call, so that every SDK can read its code."""
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


def drop_connection(scope: Message) -> None:
    """Closes the connection of a request without a response."""
    scope["extensions"][ABORT]()
