"""The decorator of all Lambda handlers: typed input and output, Latchkey errors, logs, traces and metrics without values."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ValidationError

from latchkey.aws.errors import aws_errors
from latchkey.errors import InvalidRequest, LatchkeyError, Problem
from latchkey.observability import logger, metrics, tracer
from latchkey.requests.models import is_request_id
from latchkey.requests.parsing import rule_of
from latchkey.wire import WireModel

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]


def step[Input: BaseModel](model: type[Input]) -> Callable[[Callable[[Input], BaseModel]], Handler]:
    """Turns a function with one parameter of type `model` into a Lambda handler.

    The event and the result are not logged or traced. AWS errors are raised as the classes of `latchkey.errors`. An event that
    does not fit the model raises InvalidRequest with the path of each problem.
    """

    def decorate(work: Callable[[Input], BaseModel]) -> Handler:
        @metrics.log_metrics
        @tracer.capture_lambda_handler(capture_response=False, capture_error=False)
        @logger.inject_lambda_context(clear_state=True)
        @wraps(work)
        def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
            try:
                with aws_errors():
                    result = work(_parse(model, event))
            except LatchkeyError as error:
                metrics.add_metric(name="StepFailed", unit=MetricUnit.Count, value=1)
                metrics.add_metadata(key="error", value=type(error).__name__)
                logger.warning("step failed", error=type(error).__name__, reason=str(error))
                raise
            metrics.add_metric(name="StepSucceeded", unit=MetricUnit.Count, value=1)
            logger.info("step succeeded")
            dumped: dict[str, Any] = result.model_dump(mode="json", by_alias=True)
            return dumped

        return handler

    return decorate


def _parse[Input: BaseModel](model: type[Input], event: dict[str, Any]) -> Input:
    logger.set_correlation_id(_request_id(event))
    try:
        # Strict models accept a tuple only from JSON. Other models also accept events that cannot be encoded as JSON.
        return model.model_validate_json(json.dumps(event)) if issubclass(model, WireModel) else model.model_validate(event)
    except ValidationError as error:
        problems = [
            Problem(".".join(map(str, item["loc"])) or "event", rule_of(item)) for item in error.errors(include_url=False)
        ]
        raise InvalidRequest(problems) from None


def _request_id(event: dict[str, Any]) -> str | None:
    """The request ID in the event, or None."""
    inner = [event.get(member) for member in ("request", "detail")]
    found = [holder.get("requestId") for holder in (event, *inner) if isinstance(holder, dict)]
    return next((value for value in (*found, event.get("id")) if is_request_id(value)), None)
