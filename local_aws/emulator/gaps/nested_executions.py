"""Step Functions: states that start an execution of another state machine and wait for its end.

https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
"""

import json
import time
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import stepfunctions

from local_aws.emulator.gaps import machine_roles
from local_aws.emulator.gaps.patching import Around, wrap
from local_aws.emulator.gaps.step_functions import EndedError, current_execution, is_running

_POLL_SECONDS = 0.02
# Step Functions follows the execution with a rule that it manages, which the role must be able to create.
_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"


def apply() -> None:
    wrap(stepfunctions, "_invoke_nested_start_execution_sync", _run_nested)


def _run_nested(original: Around, resource: str, data: dict[str, Any]) -> Any:
    """Gap: a nested execution replaces one of the same name, emits no event, and the calls after it have its role.

    A state that is stopped stops it. Its failure is States.TaskFailed, with the description of the execution as the cause. With
    `.sync:2`, input and output are JSON documents instead of text.
    """
    machine = str(data.get("StateMachineArn"))
    machine_roles.require("states:StartExecution", machine)
    for action in ("states:DescribeExecution", "states:StopExecution"):
        machine_roles.require(action, f"{machine.replace(':stateMachine:', ':execution:')}:*")
    for action in ("events:PutTargets", "events:PutRule", "events:DescribeRule"):
        machine_roles.require(action, f"arn:aws:events:{get_region()}:{get_account_id()}:rule/{_RULE}")
    status, _, body = stepfunctions._start_execution(stepfunctions._nested_start_execution_request(data))
    answer = json.loads(body)
    if status >= 400:
        name = str(answer.get("__type", "")).rpartition("#")[2]
        raise stepfunctions._ExecutionError(f"StepFunctions.{name}Exception", answer.get("message", ""))
    execution = stepfunctions._executions[answer["executionArn"]]
    while execution["status"] == "RUNNING":
        if not is_running(current_execution()):
            stepfunctions._stop_execution({"executionArn": execution["executionArn"]})
            raise EndedError
        time.sleep(_POLL_SECONDS)
    found = _description(execution)
    if execution["status"] != "SUCCEEDED":
        raise stepfunctions._ExecutionError("States.TaskFailed", json.dumps(found))
    if resource.endswith(".sync:2"):
        found |= {name: json.loads(found[name]) for name in ("Input", "Output")}
    return found


def _description(execution: dict[str, Any]) -> dict[str, Any]:
    """The execution as the task returns it."""
    names = ("executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate", "input", "output", "error", "cause")
    return {f"{name[0].upper()}{name[1:]}": execution[name] for name in names if execution.get(name) is not None}
