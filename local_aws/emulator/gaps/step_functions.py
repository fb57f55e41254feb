"""Step Functions: error names, execution timeouts, payload quotas, idempotent StartExecution, JSONata fields."""

import contextvars
import json
import threading
import time
import types
from typing import Any

from ministack.core import lambda_runtime
from ministack.core.responses import json_response, now_iso
from ministack.services import lambda_svc, stepfunctions

from local_aws.emulator.gaps.patching import Around, error_response, wrap

_PAYLOAD_BYTES = 262_144
_last_error: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("last_error", default=None)

_current: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("execution", default=None)


class EndedError(SystemExit):
    """The execution of this thread was stopped. No Retry or Catch matches, and the thread ends without a message."""


def is_running(execution: dict[str, Any]) -> bool:
    """Returns whether an execution, and the one whose Map Run started it, are still running."""
    parent = execution.get("_parent")
    return execution["status"] == "RUNNING" and (parent is None or is_running(parent))


def current_execution() -> dict[str, Any]:
    """Returns the execution whose task runs in this thread."""
    execution = _current.get()
    if execution is None:
        raise LookupError("no task runs in this thread")
    return execution


def apply() -> None:
    _send_error_types()
    _start_at_once()
    wrap(lambda_runtime.Worker, "invoke", _keep_error)
    wrap(lambda_svc, "_execute_function_warm", _name_error)
    wrap(stepfunctions, "_call_lambda", _call_lambda)
    wrap(stepfunctions, "_run_execution", _run_within_timeout)
    wrap(stepfunctions, "_fail_execution", _fail_running)
    wrap(stepfunctions, "_start_execution", _start_execution)
    wrap(stepfunctions, "_execute_task", _execute_task)
    wrap(stepfunctions, "_apply_output_path", _apply_output_path)


def _send_error_types() -> None:
    """Gap: the Python worker does not report the class of an exception, and ends after one.

    On AWS, an exception does not end the execution environment. A crash or a timeout does.
    """
    before = '"status": "error", "error": str(e), "trace"'
    after = '"status": "ok", "raised": True, "error": str(e), "error_type": type(e).__name__, "trace"'
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    if after not in script:
        if before not in script:
            raise RuntimeError("the worker script is not that of MiniStack 1.5.33")
        lambda_runtime._PYTHON_WORKER_SCRIPT = script.replace(before, after)


def _start_at_once() -> None:
    """Gap: every execution waits 150 ms before its first state."""
    if stepfunctions.time is time:
        stepfunctions.time = types.SimpleNamespace(**vars(time) | {"sleep": _sleep})


def _sleep(seconds: float) -> None:
    if seconds != 0.15:
        time.sleep(seconds)


def _keep_error(original: Around, worker: Any, *args: Any, **kwargs: Any) -> Any:
    result = original(worker, *args, **kwargs)
    if result.pop("raised", False):
        result["status"] = "error"
    _last_error.set(result if result.get("status") == "error" else None)
    return result


def _name_error(original: Around, *args: Any, **kwargs: Any) -> Any:
    """Gap: the error of every exception is Runtime.HandlerError, so Retry and Catch by class name do not match.

    The payload gets the format of Lambda: errorMessage, errorType, requestId, stackTrace.
    """
    _last_error.set(None)
    result = original(*args, **kwargs)
    error = _last_error.get()
    if not result.get("error") or error is None or result["body"].get("errorType") == "Sandbox.Timedout":
        return result
    result["body"]["errorType"] = error.get("error_type") or "Runtime.ExitError"
    if error.get("trace"):
        frames = [line for line in error["trace"].splitlines(keepends=True) if line.startswith("  File ")]
        result["body"] |= {"requestId": args[2] if len(args) > 2 else "", "stackTrace": frames}
    return result


def _call_lambda(original: Around, func_ref: str, event: Any) -> Any:
    """Gap: throttling is reported as Lambda.Unknown, and the output of a state can exceed 256 KB."""
    try:
        result = original(func_ref, event)
    except stepfunctions._ExecutionError as failed:
        if failed.error == "Lambda.Unknown" and "TooManyRequestsException" in failed.cause:
            raise stepfunctions._ExecutionError("Lambda.TooManyRequestsException", failed.cause) from None
        raise
    if len(json.dumps(result).encode()) > _PAYLOAD_BYTES:
        reason = "The state/task returned a result with a size exceeding the maximum number of bytes service limit."
        raise stepfunctions._ExecutionError("States.DataLimitExceeded", reason)
    return result


def _run_within_timeout(original: Around, exec_arn: str) -> Any:
    """Gap: TimeoutSeconds of the state machine is not enforced."""
    execution = stepfunctions._executions.get(exec_arn) or {}
    machine = stepfunctions._state_machines.get(execution.get("stateMachineArn")) or {}
    seconds = json.loads(machine.get("definition") or "{}").get("TimeoutSeconds")
    if not seconds:
        return original(exec_arn)
    timer = threading.Timer(seconds, contextvars.copy_context().run, (_time_out, execution))
    timer.daemon = True
    timer.start()
    try:
        return original(exec_arn)
    finally:
        timer.cancel()


def _time_out(execution: dict[str, Any]) -> None:
    if execution["status"] != "RUNNING":
        return
    execution |= {"status": "TIMED_OUT", "stopDate": now_iso()}
    stepfunctions._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
    stepfunctions._emit_execution_status_event(execution)


def _fail_running(original: Around, execution: dict[str, Any], error: str, cause: str) -> Any:
    """Gap: a failed task changes the status of an execution that has timed out or was aborted."""
    return original(execution, error, cause) if execution["status"] == "RUNNING" else None


def _start_execution(original: Around, data: dict[str, Any]) -> Any:
    """Gap: inputs over 256 KB are accepted, and a repeated call for a running execution fails."""
    payload = data.get("input", "{}")
    if len(payload.encode()) > _PAYLOAD_BYTES:
        return error_response(
            "ValidationException",
            "1 validation error detected: Value at 'input' failed to satisfy constraint: "
            f"Member must have length less than or equal to {_PAYLOAD_BYTES}",
        )
    for execution in stepfunctions._executions.values() if data.get("name") else ():
        same = (execution["stateMachineArn"], execution["name"], execution["input"])
        if same == (data.get("stateMachineArn"), data["name"], payload) and execution["status"] == "RUNNING":
            return json_response({"executionArn": execution["executionArn"], "startDate": execution["startDate"]})
    return original(data)


def _execute_task(original: Around, state: Any, raw_input: Any, execution: Any, ctx: Any) -> Any:
    """Gap: the branches and children of an execution that was stopped or timed out go on."""
    if not is_running(execution):
        raise EndedError
    _current.set(execution)
    return original(state, raw_input, execution, ctx)


def _apply_output_path(original: Around, state: Any, data: Any, ctx: Any = None) -> Any:
    """Gap: the JSONata field Output of a Succeed state is ignored."""
    if state.get("Type") == "Succeed" and stepfunctions._state_query_language(state, ctx) == "JSONata":
        return stepfunctions._apply_jsonata_output(state, data, ctx, default=data)
    return original(state, data, ctx)
