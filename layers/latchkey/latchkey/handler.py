"""What every function has around its one call: typed input and output, our errors, logs, traces and metrics without values."""

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
from latchkey.wire import WireModel

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]


def step[Input: BaseModel](model: type[Input]) -> Callable[[Callable[[Input], BaseModel]], Handler]:
    """Makes a Lambda handler of a function that takes `model` and returns a document.

    Neither the event nor the result is logged or traced. Errors leave as the classes of `latchkey.errors`; a wrong input is
    an InvalidRequest that names the places.
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
        # A document is JSON, whose arrays are tuples to it; the event of a stranger may hold what is hardly JSON.
        return model.model_validate_json(json.dumps(event)) if issubclass(model, WireModel) else model.model_validate(event)
    except ValidationError as error:
        problems = [
            Problem(".".join(map(str, item["loc"])) or "event", item["msg"])
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidRequest(problems) from None


def _request_id(event: dict[str, Any]) -> str | None:
    """The id of the request a function works on, wherever its event holds it."""
    inner = [event.get(member) for member in ("request", "detail")]
    found = [holder.get("requestId") for holder in (event, *inner) if isinstance(holder, dict)]
    return next((value for value in (*found, event.get("id")) if is_request_id(value)), None)
