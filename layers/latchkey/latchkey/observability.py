"""The logger, tracer and metrics of the functions."""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics, Tracer

logger = Logger()
# Not patched: the X-Ray SDK records the messages of failed AWS calls, and those of Secrets Manager can contain the input.
tracer = Tracer(auto_patch=False)
metrics = Metrics(namespace="Latchkey")
