"""One fault at the n-th AWS call of a series of functions: an error before or after its effect, or the end of the function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import ClientError

from latchkey.aws import clients

_SERVICES = (
    "kms",
    "secretsmanager",
    "iam",
    "dynamodb",
    "events",
    "stepfunctions",
    "mediatailor",
    "mediapackage",
    "mediapackage-vod",
    "mediapackagev2",
    "mediaconnect",
)


class FunctionDied(BaseException):
    """The function ends in the middle of a call, as after its timeout. No code of the function handles that."""


@dataclass(frozen=True)
class Fault:
    """How a call fails: with an error code, or, without one, because the function dies."""

    name: str
    when: Literal["before-call", "after-call"]
    code: str = ""
    status: int = 400

    def raised(self, operation: str) -> BaseException:
        if not self.code:
            return FunctionDied(operation)
        response: Any = {
            "Error": {"Code": self.code, "Message": "injected"},
            "ResponseMetadata": {"HTTPStatusCode": self.status},
        }
        return ClientError(response, operation)


FAULTS = (
    Fault("refused before its effect", "before-call", "SomethingInvalid"),
    Fault("failed after its effect", "after-call", "InternalFailure", 500),
    Fault("died before its effect", "before-call"),
    Fault("refused after its effect", "after-call", "SomethingInvalid"),
    Fault("throttled", "before-call", "ThrottlingException"),
    Fault("died after its effect", "after-call"),
    Fault("denied", "before-call", "AccessDeniedException"),
)


class CallFaults:
    """Counts the calls of all functions. The call that is armed fails once. `met` is its service and operation."""

    def __init__(self) -> None:
        self.calls, self.met = 0, ""
        self._armed: tuple[Fault, int] | None = None
        for service in _SERVICES:
            for client in (clients.client_for(service), clients.client_for_without_retries(service)):
                for when in ("before-call", "after-call"):
                    client.meta.events.register_first(when, self._handler(when))

    def arm(self, fault: Fault, call: int) -> None:
        self.calls, self.met, self._armed = 0, "", (fault, call)

    def disarm(self) -> None:
        self.calls, self._armed = 0, None

    def _handler(self, when: str) -> Callable[..., None]:
        def count(event_name: str, **_: Any) -> None:
            if when == "before-call":
                self.calls += 1
            if self._armed is None or self._armed[0].when != when or self._armed[1] != self.calls:
                return
            service, operation = event_name.split(".")[1:]
            fault = self._armed[0]
            self._armed, self.met = None, f"{service} {operation}"
            raise fault.raised(operation)

        return count
