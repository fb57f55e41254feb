"""Whether the execution that holds the lock of an access is over, according to Step Functions and the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from latchkey.aws.executions import find_execution
from latchkey.registry.access_locks import IsOver, LockHolder
from latchkey.registry.execution_input import ExecutionInput
from latchkey.registry.registry import Registry
from latchkey.registry.requests import JUST_STARTED

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient


def is_over_by(stepfunctions: SFNClient, registry: Registry) -> IsOver:
    """Returns a function that returns whether the holder of a lock is over.

    The execution of a request is over if it has ended and its outcome is recorded. Until then, end-request can still roll it
    back, and releases the lock. An execution of end-request is over when it has ended.
    """

    def is_over(holder: LockHolder) -> bool:
        execution = find_execution(stepfunctions, holder.execution_arn)
        if execution is None:
            return holder.since < datetime.now(UTC) - JUST_STARTED
        if not execution.is_over:
            return False
        received: Mapping[str, Any] = json.loads(execution.input)
        if "requestId" not in received:
            return True
        return registry.requests.has_outcome(ExecutionInput.model_validate_json(execution.input).ref)

    return is_over
