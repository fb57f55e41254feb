"""Event source mappings: Lambda rejects a mapping if the role or the visibility timeout does not fit."""

from typing import Any

from ministack.services import lambda_svc, sqs
from ministack.services.cloudformation import provisioners

from local_aws.emulator.authorization import allows, assume_as_service
from local_aws.emulator.gaps.patching import Around, error_response, wrap, wrap_item

_ACTIONS = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
_STREAM_ACTIONS = ("GetRecords", "GetShardIterator", "DescribeStream", "ListStreams")


def apply() -> None:
    wrap(lambda_svc, "_create_esm", _create_mapping)
    wrap_item(provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"], "create", _provision_mapping)


def _create_mapping(original: Around, data: dict[str, Any]) -> Any:
    reason = _rejection(data)
    return error_response("InvalidParameterValueException", reason) if reason else original(data)


def _provision_mapping(original: Around, logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
    if reason := _rejection(props):
        raise ValueError(reason)
    return original(logical_id, props, stack_name)


def _rejection(mapping: dict[str, Any]) -> str:
    """Gap: a mapping is accepted whatever the function's role allows, and with a visibility timeout that is too short.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
    """
    arn = mapping.get("EventSourceArn", "")
    queue, (_, config, _) = sqs._queue_by_arn(arn), lambda_svc._get_func_record_for_ref(mapping.get("FunctionName", ""))
    is_stream = ":dynamodb:" in arn
    if not (queue or is_stream) or not config:
        return ""
    try:
        role = assume_as_service("lambda.amazonaws.com", config["Role"], "mapping", {})
    except PermissionError:
        return "The role defined for the function cannot be assumed by Lambda."
    if is_stream:
        if all(allows(role.caller, f"dynamodb:{action}", arn, {}) for action in _STREAM_ACTIONS):
            return ""
        actions = "GetRecords, GetShardIterator, DescribeStream, and ListStreams Actions"
        return f"Cannot access stream {arn}. Please ensure the role can perform the {actions} on your stream in IAM."
    for action in _ACTIONS:
        if not allows(role.caller, f"sqs:{action}", arn, {}):
            return f"The provided execution role does not have permissions to call {action} on SQS"
    hidden, runs = int(queue["attributes"].get("VisibilityTimeout", 30)), int(config.get("Timeout", 3))
    return f"Queue visibility timeout: {hidden} seconds is less than Function timeout: {runs} seconds" if hidden < runs else ""
