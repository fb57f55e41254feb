"""One fault at the n-th AWS call of a series of functions: an error before or after its effect, or the end of the function.

The functions are retried as the state machines do.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import ClientError

from latchkey.aws import clients
from latchkey.errors import InvalidRequest, LatchkeyError
from tests.fault_log import FaultLog
from tests.functions.account import TABLE, Account
from tests.sampling import WHOLE, Place

_SERVICES = (
    "kms",
    "secretsmanager",
    "iam",
    "dynamodb",
    "events",
    "s3",
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
                model = client.meta.service_model
                # Handlers of an operation come before those of all operations, with which tests answer calls.
                for operation in model.operation_names:
                    for when in ("before-call", "after-call"):
                        name = f"{when}.{model.service_id.hyphenize()}.{operation}"
                        client.meta.events.register_first(name, self._handler(when))

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


# The errors that the state machines do not retry.
PERMANENT = frozenset(
    {"AccessDenied", "AccessNotEffective", "Conflict", "ExecutionEnded", "LatchkeyError", "PolicyOverwritten"}
)
ATTEMPTS = 4


class Machine:
    """Carries out steps as a state machine does: transient errors are retried, and a function that died is started again."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def attempt(self, step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        for left in reversed(range(ATTEMPTS)):
            try:
                return step()
            except FunctionDied:
                self.end_leases()
            except LatchkeyError as error:
                if type(error).__name__ in PERMANENT or isinstance(error, InvalidRequest) or not left:
                    raise
        raise AssertionError("the function died in every attempt")

    def report(self, step: Callable[[], dict[str, Any]]) -> None:
        """Reports an outcome. If the state machine cannot, end-request reports it."""
        try:
            self.attempt(step)
        except LatchkeyError:
            self.attempt(step)

    def end_leases(self) -> None:
        """A lease of a function that died expires after some minutes."""
        for item in self._account.items("lease"):
            self._account.dynamodb.delete_item(TableName=TABLE, Key={"kind": item["kind"], "id": item["id"]})


def combinations(calls: int, one_in: int) -> Iterator[tuple[Fault, int]]:
    """The failures and the calls at which they happen, except those that an earlier part of the loop has tried."""
    log = FaultLog()
    whole = ((fault, call) for fault in FAULTS for call in range(1, calls + 1))
    for fault, call in whole if WHOLE else zip(cycle(FAULTS), range(1, calls + 1, one_in)):
        place = Place("", call)
        if log.met(fault.name, place) is None:
            assert not log.is_over, f"call {call}, {fault.name} is next: continue with the same FAULT_LOG"
            yield fault, call
            log.note(fault.name, place, met=True)


class Table:
    """The outcomes by failure. FAULT_TABLE names a file to which each is appended."""

    def __init__(self, flow: str) -> None:
        self._flow, self.outcomes = flow, Counter[tuple[str, str]]()

    def add(self, fault: Fault, met: str, outcome: str) -> None:
        self.outcomes[fault.name, outcome] += 1
        if path := os.environ.get("FAULT_TABLE"):
            with Path(path).open("a") as table:
                table.write("\t".join((self._flow, fault.name, met, outcome)) + "\n")
