"""State machine roles: a task fails if the role of the state machine does not allow its API call."""

import contextvars
from collections.abc import Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import stepfunctions

from local_aws.emulator import authorization
from local_aws.emulator.gaps.patching import Around, wrap

_SERVICE = "states.amazonaws.com"
_caller: contextvars.ContextVar[authorization.Caller | None] = contextvars.ContextVar("machine_role", default=None)


def apply() -> None:
    wrap(stepfunctions, "_run_execution", _run_as_role)
    wrap(stepfunctions, "_invoke_resource", _invoke_resource)


def _run_as_role(original: Around, exec_arn: str) -> Any:
    """Gap: the roleArn of a state machine is stored but not used."""
    execution = stepfunctions._executions.get(exec_arn) or {}
    machine = stepfunctions._state_machines.get(execution.get("stateMachineArn")) or {}
    try:
        name = execution.get("name", "execution")[:64]
        role = authorization.assume_as_service(_SERVICE, machine["roleArn"], name, {"aws:SourceAccount": get_account_id()})
        _caller.set(role.caller)
    except (KeyError, IndexError, PermissionError) as error:
        if execution:
            stepfunctions._fail_execution(execution, "States.Runtime", f"The role cannot be assumed: {error}")
        return None
    return original(exec_arn)


def _invoke_resource(original: Around, resource: str, data: Any) -> Any:
    needed = _permission(resource, data)
    if needed:
        require(*needed)
    return original(resource, data)


def _permission(resource: str, data: Any) -> tuple[str, str] | None:
    """Returns action and resource of a Lambda, DynamoDB, EventBridge or Step Functions integration, and None for any other."""
    base = f"{get_region()}:{get_account_id()}"
    given = data if isinstance(data, dict) else {}
    if resource.startswith("arn:aws:lambda:"):
        return "lambda:InvokeFunction", resource
    if ":::lambda:invoke" in resource:
        name = str(given.get("FunctionName"))
        return "lambda:InvokeFunction", name if name.startswith("arn:") else f"arn:aws:lambda:{base}:function:{name}"
    if ":::dynamodb:" in resource:
        operation = resource.rpartition(":")[2]
        action = f"dynamodb:{operation[0].upper()}{operation[1:]}"
        return action, f"arn:aws:dynamodb:{base}:table/{given.get('TableName')}"
    if ":::events:putEvents" in resource:
        buses = [str(entry.get("EventBusName", "default")) for entry in given.get("Entries") or []]
        bus = (buses or ["default"])[0]
        return "events:PutEvents", bus if bus.startswith("arn:") else f"arn:aws:events:{base}:event-bus/{bus}"
    if resource == "arn:aws:states:::states:startExecution":
        return "states:StartExecution", str(given.get("StateMachineArn"))
    return None


def require(action: str, resource: str, context: Mapping[str, str] | None = None) -> None:
    """Raises an error of Step Functions if the role of the state machine that runs does not allow the call."""
    caller = _caller.get()
    if caller is None or authorization.allows(caller, action, resource, context or {}):
        return
    service = action.partition(":")[0]
    error = {"lambda": "Lambda.AWSLambdaException", "dynamodb": "DynamoDB.AccessDeniedException"}.get(
        service, f"{service.capitalize()}.AccessDeniedException"
    )
    text = f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource}"
    raise stepfunctions._ExecutionError(error, text)
