"""From hints to clean-ups: which accesses an event concerns, and one execution for each event and access."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from latchkey.aws import aws_errors
from latchkey.documents import Document
from latchkey.errors import InvalidRequest, LatchkeyError, Problem
from latchkey.hints import CleanUpInput, Hint, read_hint
from latchkey.registry import Registry
from latchkey.settings import Place
from latchkey.steps import logger

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient


class Message(BaseModel):
    """A message as Lambda polls it; its body is the event that EventBridge delivered."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    message_id: Annotated[str, Field(alias="messageId")]
    body: str


class Batch(BaseModel):
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html"""

    model_config = ConfigDict(extra="ignore", frozen=True)

    records: Annotated[tuple[Message, ...], Field(alias="Records")]


class FailedMessage(Document):
    """A message that must come again, by its id."""

    item_identifier: str


class Identified(Document):
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"""

    batch_item_failures: tuple[FailedMessage, ...]


def identify_accesses(
    batch: Batch, place: Place, own_roles: Collection[str], registry: Registry, stepfunctions: SFNClient, state_machine_arn: str
) -> Identified:
    """Starts the clean-up of every access that the messages concern; one that fails does not hold up the others."""
    failed = []
    for message in batch.records:
        try:
            with aws_errors():
                if concern := read_hint(_event(message), place, own_roles):
                    for access_id in registry.concerned(concern):
                        _start(stepfunctions, state_machine_arn, access_id, concern.hint)
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


def _start(stepfunctions: SFNClient, state_machine_arn: str, access_id: str, hint: Hint) -> None:
    name = hashlib.sha256(f"{hint.event_id} {access_id}".encode()).hexdigest()
    asked = CleanUpInput(accessId=access_id, hint=hint).model_dump_json(by_alias=True)
    # A repeat of the same event: its clean-up is running or has ended.
    with suppress(stepfunctions.exceptions.ExecutionAlreadyExists):
        stepfunctions.start_execution(stateMachineArn=state_machine_arn, name=name, input=asked)
