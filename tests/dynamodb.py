"""DynamoDB in the process of the test: MiniStack's engine answers the calls of a client, without HTTP and signatures."""

import json
import logging
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import boto3
from botocore.model import OperationModel
from ministack.core.responses import request_scope
from ministack.services import dynamodb as engine

ACCOUNT, REGION = "123456789012", "us-east-1"
_KEYS = (("kind", "HASH"), ("id", "RANGE"))

logging.getLogger("dynamodb").setLevel(logging.WARNING)


def _answer(model: OperationModel, params: dict[str, Any], **_: Any) -> tuple[SimpleNamespace, dict[str, Any]]:
    headers = {"x-amz-target": f"DynamoDB.{model.name}"}
    with request_scope(ACCOUNT, REGION):
        call = engine.handle_request("POST", "/", headers, params["body"], {})
        try:
            call.send(None)
        except StopIteration as ended:
            status, _headers, body = ended.value
        else:
            raise AssertionError("the engine waits, which it cannot do without an event loop")
    parsed = json.loads(body)
    if status >= 300:
        parsed = {"Error": {"Code": parsed["__type"].rpartition("#")[2], "Message": parsed.get("message", "")}}
    return SimpleNamespace(status_code=status), parsed | {"ResponseMetadata": {"HTTPStatusCode": status}}


def serve(events: Any) -> None:
    """Answers the DynamoDB calls of the clients with these events. Handlers that are registered first still see a call."""
    events.register_last("before-call.dynamodb", _answer, unique_id="dynamodb of the tests")


@cache
def client() -> Any:
    """A client whose calls are answered by the engine."""
    made = _session().client("dynamodb")
    serve(made.meta.events)
    return made


@cache
def resource() -> Any:
    """A resource, which takes and returns plain values, whose calls are answered by the engine."""
    made = _session().resource("dynamodb")
    serve(made.meta.client.meta.events)
    return made


def _session() -> Any:
    return cast("Any", boto3.session.Session("testing", "testing", region_name=REGION))


def create_only_table(name: str) -> None:
    """Deletes all tables and creates one with the keys of the registry."""
    engine.reset()
    client().create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in _KEYS],
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in _KEYS],
    )
