"""Relates API calls to the function invocation that makes them, by the trace id that botocore sends with every call."""

import functools
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ministack.core import lambda_runtime

from local_aws.emulator.api_calls import Call
from local_aws.emulator.gaps.patching import Around, wrap


@dataclass(frozen=True)
class Invocation:
    """One invocation of a function, with the request that its event belongs to. Only functions with tracing have one."""

    request_id: str | None
    worker: Any

    def kill(self) -> None:
        """Kills the process of the function, which is how a crash looks to its caller."""
        if process := self.worker._proc:
            os.kill(process.pid, signal.SIGKILL)


_RUNNING: dict[str, Invocation] = {}


def follow_invocations(request_id_of: Callable[[Any], str | None]) -> None:
    """Records running invocations from now on. `request_id_of` returns the request id in an event."""
    wrap(lambda_runtime.Worker, "invoke", functools.partial(_follow, request_id_of))


def running_invocations() -> list[Invocation]:
    return list(_RUNNING.values())


def invocation_of(call: Call) -> Invocation | None:
    """Returns the invocation that makes a call, or None if no function does."""
    return _RUNNING.get(call.headers.get("x-amzn-trace-id", ""))


def _follow(
    request_id_of: Callable[[Any], str | None],
    original: Around,
    worker: Any,
    event: Any,
    *args: Any,
    trace_id: str | None = None,
    **kwargs: Any,
) -> Any:
    if trace_id is None:
        return original(worker, event, *args, trace_id=trace_id, **kwargs)
    _RUNNING[trace_id] = Invocation(request_id_of(event), worker)
    try:
        return original(worker, event, *args, trace_id=trace_id, **kwargs)
    finally:
        del _RUNNING[trace_id]
