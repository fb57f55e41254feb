"""A checkpoint of the account: tests return to it and so share one deployed stack."""

import copy
from collections.abc import Iterator
from typing import Any, Protocol

from ministack.core.responses import AccountRegionScopedDict, AccountScopedDict
from ministack.services import (
    cloudwatch,
    cloudwatch_logs,
    dynamodb,
    eventbridge,
    iam,
    kms,
    s3,
    secretsmanager,
    sqs,
    stepfunctions,
)

from local_aws.emulator.invocations import running_invocations

# Functions and their warm workers stay as they are, and so do STS sessions, whose credentials the workers have.
_SERVICES = (cloudwatch, cloudwatch_logs, dynamodb, eventbridge, iam, kms, s3, secretsmanager, sqs, stepfunctions)

# The streams of tables go on, because event source mappings remember how far they have read.
_LOGS = ("_stream_records", "_stream_trimmed", "_closed_streams")


class Clearable(Protocol):
    def clear(self) -> None: ...


class Checkpoint:
    """Saves and restores the stores of MiniStack's services. `media` are emptied instead: a new stack has nothing in them."""

    def __init__(self, *media: Clearable) -> None:
        self._media = media
        self._saved: dict[tuple[str, str], dict[Any, Any]] | None = None

    def take(self) -> None:
        self._saved = copy.deepcopy({name: store._data for name, store in _stores()})

    def restore(self) -> bool:
        """Aborts all executions and restores the saved state. Returns False, without a restore, while a function runs."""
        if self._saved is None:
            raise ValueError("no checkpoint was taken")
        for execution in list(stepfunctions._executions._data.values()):
            if execution["status"] == "RUNNING":
                execution["status"] = "ABORTED"
        if running_invocations():
            return False
        saved = copy.deepcopy(self._saved)
        for name, store in _stores():
            store._data = saved.get(name, {})
        for service in self._media:
            service.clear()
        return True


def _stores() -> Iterator[tuple[tuple[str, str], Any]]:
    for service in _SERVICES:
        for name, value in vars(service).items():
            if name not in _LOGS and isinstance(value, AccountScopedDict | AccountRegionScopedDict):
                yield (service.__name__, name), value
