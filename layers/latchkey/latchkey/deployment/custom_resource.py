"""Custom resources of the template: the request that CloudFormation sends, and the answer that it waits for.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/crpg-ref.html
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal

from latchkey.aws.errors import aws_errors
from latchkey.errors import LatchkeyError, TransientAwsError
from latchkey.observability import logger

# CloudFormation accepts a response of 4,096 bytes: the reason, and 1 KB for the ids that it echoes.
_LONGEST_REASON = 3000
_SENDING_SECONDS = 5
_ATTEMPTS = 3


class ResourceEvent(BaseModel):
    """A request of CloudFormation for a custom resource. Whoever has `response_url` can answer it, so it is never logged."""

    model_config = ConfigDict(alias_generator=to_pascal, frozen=True)

    request_type: Literal["Create", "Update", "Delete"]
    response_url: str = Field(alias="ResponseURL", pattern=r"^https?://", repr=False)
    stack_id: str
    request_id: str
    logical_resource_id: str
    physical_resource_id: str = ""
    resource_properties: dict[str, Any]
    old_resource_properties: dict[str, Any] = {}


class ResourceAnswer(BaseModel):
    """What CloudFormation was answered. `reason` is empty after a success."""

    model_config = ConfigDict(alias_generator=to_pascal, frozen=True)

    status: Literal["SUCCESS", "FAILED"]
    reason: str
    physical_resource_id: str


def answer(event: ResourceEvent, work: Callable[[], None]) -> ResourceAnswer:
    """Does the work and answers CloudFormation, with a failure if the work raised an exception.

    So CloudFormation never waits for a function that failed. Raises TransientAwsError if the answer cannot be sent: Lambda then
    invokes the function again.
    """
    answered = _answer(event, _failure(work))
    _send(event, answered)
    logger.info("custom resource answered", status=answered.status, reason=answered.reason, request_type=event.request_type)
    return answered


def _failure(work: Callable[[], None]) -> str:
    """The message of the exception that the function raised, or an empty text."""
    try:
        with aws_errors():
            work()
    except LatchkeyError as error:
        return str(error)
    except Exception as error:
        logger.exception("custom resource failed")
        return f"{type(error).__name__}: {error}"
    return ""


def _answer(event: ResourceEvent, failure: str) -> ResourceAnswer:
    # The resource is never replaced, so its physical id is the logical one.
    physical_id = event.physical_resource_id or event.logical_resource_id
    status: Literal["SUCCESS", "FAILED"] = "FAILED" if failure else "SUCCESS"
    return ResourceAnswer(Status=status, Reason=failure[:_LONGEST_REASON], PhysicalResourceId=physical_id)


def _send(event: ResourceEvent, answered: ResourceAnswer) -> None:
    """Puts the answer to the presigned URL, whose signature includes an empty content type."""
    echoed = {
        "StackId": event.stack_id,
        "RequestId": event.request_id,
        "LogicalResourceId": event.logical_resource_id,
    }
    body = json.dumps(answered.model_dump(mode="json", by_alias=True) | echoed).encode()
    request = urllib.request.Request(event.response_url, data=body, method="PUT", headers={"Content-Type": ""})  # noqa: S310  the model allows only http and https
    for _ in range(_ATTEMPTS):
        try:
            with urllib.request.urlopen(request, timeout=_SENDING_SECONDS):  # noqa: S310  as above
                return
        except (OSError, HTTPException) as error:
            # The message of an exception can contain the URL.
            failure = f"status {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
    raise TransientAwsError(f"CloudFormation did not accept the answer: {failure}")
