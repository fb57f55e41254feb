"""Starts a cleanup execution for each access that a CloudTrail event affects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from latchkey.aws.errors import aws_errors
from latchkey.aws.executions import start_once
from latchkey.cleanup.execution_input import CleanUpInput
from latchkey.cleanup.trail_events import read_trail_event
from latchkey.errors import InvalidRequest, LatchkeyError, Problem
from latchkey.events.cleanup import TrailEvent
from latchkey.observability import logger
from latchkey.place import Place
from latchkey.registry import Registry
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient


class Message(BaseModel):
    """An SQS message; its body is the event that EventBridge delivered."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    message_id: Annotated[str, Field(alias="messageId")]
    body: str


class Batch(BaseModel):
    """An event of the SQS event source. https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html"""

    model_config = ConfigDict(extra="ignore", frozen=True)

    records: Annotated[tuple[Message, ...], Field(alias="Records")]


class FailedMessage(WireModel):
    """The id of a message that SQS must deliver again."""

    item_identifier: str


class Identified(WireModel):
    """The messages that failed. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"""

    batch_item_failures: tuple[FailedMessage, ...]


def identify_accesses(
    batch: Batch, place: Place, own_roles: Collection[str], registry: Registry, stepfunctions: SFNClient, state_machine_arn: str
) -> Identified:
    """Starts the cleanup of every access that the messages affect. A message that fails does not hold up the others."""
    failed = []
    for message in batch.records:
        try:
            with aws_errors():
                if affected := read_trail_event(_event(message), place, own_roles):
                    for access_id in registry.affected(affected.accesses, affected.resources):
                        _start(stepfunctions, state_machine_arn, access_id, affected.trail_event)
        except LatchkeyError as error:
            logger.warning("message failed", message_id=message.message_id, error=type(error).__name__, reason=str(error))
            failed.append(FailedMessage(itemIdentifier=message.message_id))
    return Identified(batchItemFailures=tuple(failed))


def _event(message: Message) -> object:
    try:
        event: object = json.loads(message.body)
    except (ValueError, RecursionError):
        raise InvalidRequest([Problem("body", "must be JSON")]) from None
    return event


def _start(stepfunctions: SFNClient, state_machine_arn: str, access_id: str, trail_event: TrailEvent) -> None:
    name = hashlib.sha256(f"{trail_event.event_id} {access_id}".encode()).hexdigest()
    clean_up = CleanUpInput(accessId=access_id, hint=trail_event).model_dump_json(by_alias=True)
    start_once(stepfunctions, state_machine_arn, name, clean_up)
