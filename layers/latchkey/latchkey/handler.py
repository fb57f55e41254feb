"""The decorator of all Lambda handlers: typed input and output, Latchkey errors, logs, traces and metrics without values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, Protocol

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ValidationError

from latchkey.aws.errors import aws_errors
from latchkey.errors import InvalidRequest, LatchkeyError, NotYetEffective, Problem
from latchkey.observability import logger, metrics, tracer
from latchkey.requests.models import is_request_id
from latchkey.requests.parsing import rule_of
from latchkey.wire import WireModel


class WaitLog(Protocol):
    """Records on a request that one of its steps waits, and that it no longer does."""

    def note_waiting(self, request_id: str, tenant: str, reason: str) -> None: ...

    def end_waiting(self, request_id: str, tenant: str) -> None: ...


Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]


def step[Input: BaseModel](
    model: type[Input], waits: Callable[[], WaitLog] | None = None
) -> Callable[[Callable[[Input], BaseModel]], Handler]:
    """Turns a function with one parameter of type `model` into a Lambda handler.

    With `waits`, a request whose step raises NotYetEffective, which the state machine retries, is recorded as waiting until the
    step succeeds.

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
                parsed = _parse(model, event)
                with aws_errors(), _visible_wait(parsed, waits):
                    result = work(parsed)
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


@contextmanager
def _visible_wait(event: BaseModel, waits: Callable[[], WaitLog] | None) -> Iterator[None]:
    request_id = getattr(getattr(event, "request", None), "request_id", None)
    if waits is None or request_id is None:
        yield
        return
    log, tenant = waits(), str(getattr(event, "tenant", ""))
    try:
        yield
    except NotYetEffective as error:
        # The wait goes on whether or not it can be recorded.
        with suppress(LatchkeyError):
            log.note_waiting(request_id, tenant, str(error))
        raise
    with suppress(LatchkeyError):
        log.end_waiting(request_id, tenant)


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
