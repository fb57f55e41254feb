"""Which run of a function a call belongs to: botocore sends the trace id of the run along with every call."""

import os
import signal
from dataclasses import dataclass
from typing import Any

from ministack.core import lambda_runtime

from local_aws.calls import Call
from local_aws.gaps.patching import Around, wrap


@dataclass(frozen=True)
class Invocation:
    """One run of a function, for the request that its event names; only traced functions are followed."""

    request_id: str | None
    worker: Any

    def kill(self) -> None:
        """Ends the function's process at once, as a crash does."""
        if process := self.worker._proc:
            os.kill(process.pid, signal.SIGKILL)


_RUNNING: dict[str, Invocation] = {}


def follow_invocations() -> None:
    wrap(lambda_runtime.Worker, "invoke", _follow)


def invocation_of(call: Call) -> Invocation | None:
    """The run that makes the call, or None if no function does."""
    return _RUNNING.get(call.headers.get("x-amzn-trace-id", ""))


def _follow(original: Around, worker: Any, event: Any, *args: Any, trace_id: str | None = None, **kwargs: Any) -> Any:
    if trace_id is None:
        return original(worker, event, *args, trace_id=trace_id, **kwargs)
    _RUNNING[trace_id] = Invocation(_request_of(event), worker)
    try:
        return original(worker, event, *args, trace_id=trace_id, **kwargs)
    finally:
        del _RUNNING[trace_id]


def _request_of(event: Any) -> str | None:
    """The id of a request stands in the event, in its request, or in the detail of what the bus brings."""
    given = event if isinstance(event, dict) else {}
    holders = [given, given.get("request"), given.get("detail")]
    found = [holder["requestId"] for holder in holders if isinstance(holder, dict) and "requestId" in holder]
    return str(found[0]) if found else None
