"""Dead-letter queues of rule targets, schedules and functions, and the permissions of rules and schedules."""

import contextvars
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ministack.core.arn import parse_arn
from ministack.core.responses import get_account_id, get_region, new_uuid, request_scope
from ministack.services import eventbridge, lambda_svc, sqs, stepfunctions

from local_aws.emulator.authorization import allows, assume_as_service, service_allows
from local_aws.emulator.gaps.patching import Around, body_of, wrap

_SEND = "sqs:SendMessage"


@dataclass
class _Delivery:
    """The delivery of an event by a rule or schedule. `failures` has error codes and messages."""

    source_arn: str
    role_arn: str
    failures: list[tuple[str, str]] = field(default_factory=list)

    def can(self, action: str, resource: str) -> bool:
        """Gap: rules and schedules can call any target. On AWS, the role of the target must allow the call.

        For a target without role, the resource policy of the queue or function must allow EventBridge.
        """
        if not self.role_arn:
            return not self._is_schedule and self._service_can(action, resource)
        try:
            role = assume_as_service(self._service, self.role_arn, "delivery", self._context)
        except PermissionError:
            return False
        return allows(role.caller, action, resource, {})

    def can_send_to_dead_letters(self, queue: str) -> bool:
        """Whether a schedule can with its role, or a rule by the policy of the queue, whatever the role of its target allows.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
        """
        return self.can(_SEND, queue) if self._is_schedule else self._service_can(_SEND, queue)

    def _service_can(self, action: str, resource: str) -> bool:
        return service_allows(self._service, action, resource, self._context)

    @property
    def _is_schedule(self) -> bool:
        return ":schedule/" in self.source_arn

    @property
    def _service(self) -> str:
        return "scheduler.amazonaws.com" if self._is_schedule else "events.amazonaws.com"

    @property
    def _context(self) -> dict[str, str]:
        return {"aws:SourceArn": self.source_arn, "aws:SourceAccount": self.source_arn.split(":")[4]}


_delivery: contextvars.ContextVar[_Delivery | None] = contextvars.ContextVar("delivery", default=None)
_is_asynchronous: contextvars.ContextVar[bool] = contextvars.ContextVar("is_asynchronous", default=False)
# The account and the Region of the event that is delivered to a bus elsewhere.
_origin: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar("origin", default=MappingProxyType({}))
_QUEUE_SECONDS = 0.1


def apply() -> None:
    # Lambda waits minutes between asynchronous attempts. Tests cannot.
    lambda_svc._LAMBDA_ASYNC_RETRY_BASE_SECONDS = 0.2
    wrap(eventbridge, "_invoke_target", _invoke_target)
    wrap(eventbridge, "_dispatch_to_event_bus", _dispatch_to_event_bus)
    wrap(eventbridge, "_pattern_event_view", _event_view)
    wrap(eventbridge, "_dispatch_to_lambda", _dispatch_to_lambda)
    wrap(eventbridge, "_dispatch_to_sqs", _dispatch_to_sqs)
    wrap(eventbridge, "_dispatch_to_stepfunctions", _dispatch_to_stepfunctions)
    wrap(lambda_svc, "_route_async_failure", _route_async_failure)
    wrap(lambda_svc, "invoke_async_with_retry", _invoke_async_with_retry)
    wrap(lambda_svc, "_execute_function", _execute_function)


def _invoke_target(original: Around, target: dict[str, Any], event: Any, rule: Any, view: Any = None) -> None:
    """Gap: events that a target rejects are lost. There are no retries here, because these failures are permanent.

    Replays go to all rules. On AWS, FilterArns lists the rules that get the events.
    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_ReplayDestination.html
    """
    replay = eventbridge._replays.get(event.get("ReplayName")) or {}
    if rule["Arn"] not in replay.get("Destination", {}).get("FilterArns", [rule["Arn"]]):
        return
    delivery = _Delivery(rule["Arn"], target.get("RoleArn", ""))
    token = _delivery.set(delivery)
    try:
        original(target, event, rule, view)
    finally:
        _delivery.reset(token)
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    if not delivery.failures or not queue or not delivery.can_send_to_dead_letters(queue):
        return
    code, text = delivery.failures[0]
    attributes = {
        "RULE_ARN": delivery.source_arn,
        "TARGET_ARN": target["Arn"],
        "ERROR_CODE": code,
        "ERROR_MESSAGE": text,
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        "RETRY_ATTEMPTS": str((target.get("RetryPolicy") or {}).get("MaximumRetryAttempts", 185)),
    }
    payload = target.get("Input") or json.dumps(eventbridge._pattern_event_view(event).event_with_detail())
    send_to_queue(queue, payload, attributes)


def _dispatch_to_event_bus(
    original: Around, spec: Any, event: dict[str, Any], rule: Any, path: Any, payload: str | None = None
) -> None:
    """Gap: rules do not reach buses of other accounts and Regions. The event keeps the account and Region of its origin.

    The target needs a role: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html
    """
    origin = (get_account_id(), get_region())
    if spec.service != "events" or (spec.account_id, spec.region) == origin:
        original(spec, event, rule, path, payload)
    elif _is_allowed("events:PutEvents", str(spec)):
        with request_scope(spec.account_id, spec.region):
            if spec.resource.removeprefix("event-bus/") in eventbridge._event_buses:
                account, region = origin
                token = _origin.set({"Account": account, "Region": region})
                try:
                    original(spec, event, rule, path, payload)
                finally:
                    _origin.reset(token)
            else:
                _fail("RESOURCE_NOT_FOUND", f"Event bus {spec} does not exist.")


def _event_view(original: Around, event: dict[str, Any]) -> Any:
    event |= _origin.get()
    return original(event)


def _dispatch_to_lambda(original: Around, arn: str, payload: str) -> None:
    """Gap: EventBridge invokes a function once and ignores a failure. AWS invokes it asynchronously, with retries."""
    func, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if not func or not config:
        _fail("NO_RESOURCE", f"Function not found: {arn}")
    elif _is_allowed("lambda:InvokeFunction", arn):
        lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(func, config), json.loads(payload))


def _dispatch_to_sqs(original: Around, spec: Any, payload: str, sqs_parameters: Any = None) -> None:
    if not sqs._queue_by_arn(str(spec)):
        _fail("NO_RESOURCE", f"The specified queue does not exist: {spec}")
    elif _is_allowed(_SEND, str(spec)):
        original(spec, payload, sqs_parameters)


def _dispatch_to_stepfunctions(original: Around, arn: str, payload: str) -> None:
    if stepfunctions._resolve_state_machine_arn(arn) is None:
        _fail("NO_RESOURCE", f"State Machine Does Not Exist: {arn}")
    elif _is_allowed("states:StartExecution", arn):
        answer = stepfunctions._start_execution({"stateMachineArn": arn, "input": payload})
        if body_of(answer) is None:
            _fail("SDK_CLIENT_ERROR", str(json.loads(answer[2]).get("message", "")))


def _is_allowed(action: str, resource: str) -> bool:
    delivery = _delivery.get()
    allowed = delivery is None or delivery.can(action, resource)
    if not allowed:
        _fail("NO_PERMISSIONS", f"Not authorized to perform: {action} on resource: {resource}")
    return allowed


def _fail(code: str, text: str) -> None:
    delivery = _delivery.get()
    if delivery is not None:
        delivery.failures.append((code, text))


def _route_async_failure(original: Around, target_arn: str, func_name: str, event: Any, result: Any) -> Any:
    """Gap: the dead-letter queue of a function receives a destination record. AWS sends the event itself."""
    config = (lambda_svc._functions.get(func_name) or {}).get("config", {})
    is_queue = parse_arn(target_arn).service == "sqs"
    if not is_queue or (config.get("DeadLetterConfig") or {}).get("TargetArn") != target_arn:
        return original(target_arn, func_name, event, result)
    body = result.get("body") if isinstance(result.get("body"), dict) else {}
    error = {"RequestID": new_uuid(), "ErrorCode": "200", "ErrorMessage": str(body.get("errorMessage", ""))[:1024]}
    send_to_queue(target_arn, json.dumps(event), error)
    return None


def _invoke_async_with_retry(original: Around, func: Any, event: Any) -> None:
    token = _is_asynchronous.set(True)
    try:
        original(func, event)
    finally:
        _is_asynchronous.reset(token)


def _execute_function(original: Around, func: Any, event: Any) -> Any:
    """Gap: throttling uses up the attempts of an asynchronous invocation. On AWS, the event goes back to the queue for hours.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    """
    result = original(func, event)
    while result.get("throttle") and _is_asynchronous.get():
        time.sleep(_QUEUE_SECONDS)
        result = original(_present(func), event)
    return result


def _present(func: Any) -> Any:
    """The record of a function as it is now: its concurrency can have been changed since the event arrived."""
    arn = (func.get("config") or func)["FunctionArn"]
    found, config, _ = lambda_svc._get_func_record_for_ref(arn)
    return lambda_svc._execution_record_for_config(found, config) if found and config else func


def send_to_queue(queue_arn: str, body: str, attributes: dict[str, str]) -> None:
    """Sends a message with string attributes to a queue. Does nothing if the queue does not exist."""
    queue = sqs._queue_by_arn(queue_arn)
    if queue is None:
        return
    typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value}
    sqs._act_send_message({"MessageBody": body, "MessageAttributes": typed}, queue["url"])
