"""The logger, tracer and metrics of the functions."""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics, Tracer, single_metric
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
# Not patched: the X-Ray SDK records the messages of failed AWS calls, and those of Secrets Manager can contain the input.
tracer = Tracer(auto_patch=False)
metrics = Metrics(namespace="Latchkey")


def emit_current_number(name: str, value: int, **dimensions: str) -> None:
    """Emits how many of something there are now. Every function uses the same dimensions, so that one alarm sees them all."""
    common = {"service": "latchkey"} | dimensions
    with single_metric(name, MetricUnit.Count, value, namespace="Latchkey", default_dimensions=common):
        pass
