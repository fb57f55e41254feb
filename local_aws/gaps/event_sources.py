"""Event source mappings: Lambda reads a queue with the function's role, and refuses a mapping that could not work."""

from typing import Any

from ministack.services import lambda_svc, sqs
from ministack.services.cloudformation import provisioners

from local_aws.authorize import allows, assume_as_service
from local_aws.gaps.patching import Around, refusal, wrap, wrap_item

_ACTIONS = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")


def apply() -> None:
    wrap(lambda_svc, "_create_esm", _create_mapping)
    wrap_item(provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"], "create", _provision_mapping)


def _create_mapping(original: Around, data: dict[str, Any]) -> Any:
    reason = _reason_against(data)
    return refusal("InvalidParameterValueException", reason) if reason else original(data)


def _provision_mapping(original: Around, logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
    if reason := _reason_against(props):
        raise ValueError(reason)
    return original(logical_id, props, stack_name)


def _reason_against(mapping: dict[str, Any]) -> str:
    """ministack 1.5.33: any function reads any queue, even one whose messages come back while it still works on them.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    arn = mapping.get("EventSourceArn", "")
    queue, (_, config, _) = sqs._queue_by_arn(arn), lambda_svc._get_func_record_for_ref(mapping.get("FunctionName", ""))
    if not queue or not config:
        return ""
    try:
        role = assume_as_service("lambda.amazonaws.com", config["Role"], "mapping", {})
    except PermissionError:
        return "The role defined for the function cannot be assumed by Lambda."
    for action in _ACTIONS:
        if not allows(role.caller, f"sqs:{action}", arn, {}):
            return f"The provided execution role does not have permissions to call {action} on SQS"
    hidden, runs = int(queue["attributes"].get("VisibilityTimeout", 30)), int(config.get("Timeout", 3))
    return f"Queue visibility timeout: {hidden} seconds is less than Function timeout: {runs} seconds" if hidden < runs else ""
