"""DynamoDB in the process of the test: MiniStack's engine answers the calls of a client, without HTTP and signatures."""

import copy
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
_AUDIT_KEYS = (("accessId", "HASH"), ("id", "RANGE"))

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
        error = {"Code": parsed["__type"].rpartition("#")[2], "Message": parsed.get("message", "")}
        parsed = {"Error": error, **{name: parsed[name] for name in ("CancellationReasons",) if name in parsed}}
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


def create_only_table(name: str, *, streams: bool = False) -> None:
    """Deletes all tables and creates one with the keys of the registry and, if it `streams`, with a stream of its changes."""
    engine.reset()
    stream = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}} if streams else {}
    _create(name, _KEYS, **stream)


def create_audit_table(name: str) -> None:
    """Creates a table with the keys of the audit records."""
    _create(name, _AUDIT_KEYS)


def stream_of(name: str) -> list[dict[str, Any]]:
    """The records of the stream of a table, as Lambda delivers them."""
    with request_scope(ACCOUNT, REGION):
        return cast("list[dict[str, Any]]", copy.deepcopy(engine.stream_live_records(name)))


def _create(name: str, keys: tuple[tuple[str, str], ...], **settings: Any) -> None:
    client().create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
        **settings,
    )
