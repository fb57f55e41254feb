"""Locks on accesses, so that each access has at most one running request. The lock is part of the item of kind `access`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from latchkey.errors import NotYetEffective
from latchkey.registry.table import ConditionFailed, Table
from latchkey.tags import DEFAULT_TENANT

_FREE = "attribute_not_exists(running) OR running = :me"


@dataclass(frozen=True)
class LockHolder:
    """The execution that holds the lock of an access, and since when."""

    execution_arn: str
    since: datetime


# Returns whether the execution that holds a lock is over, so that another one can take the lock over.
type IsOver = Callable[[LockHolder], bool]


def _no_proof(_holder: LockHolder) -> bool:
    return False


def holder_of(item: Mapping[str, Any]) -> LockHolder | None:
    """The holder of the lock in the item of an access, or None."""
    if "running" not in item:
        return None
    return LockHolder(str(item["running"]), datetime.fromtimestamp(int(item["runningSince"]), UTC))


class AccessLocks:
    """Locks accesses for executions. An execution is identified by its ARN. A lock never expires."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def lock(self, access_id: str, execution_arn: str, is_over: IsOver = _no_proof) -> None:
        """Locks the access for one request. Raises NotYetEffective while another execution holds the lock.

        The lock of an execution that `is_over` is taken over.
        """
        update = "SET running = :me, runningSince = :now REMOVE pending, pendingTenant, undoing"
        try:
            self._table.update("access", access_id, update, _FREE, _holder(execution_arn))
        except ConditionFailed:
            self._take_over(access_id, execution_arn, update, is_over)

    def _take_over(self, access_id: str, execution_arn: str, update: str, is_over: IsOver) -> None:
        found = holder_of(self._table.get("access", access_id))
        if found is None or not is_over(found):
            raise _another_runs()
        values = _holder(execution_arn) | {":former": found.execution_arn}
        try:
            self._table.update("access", access_id, update, "running = :former", values)
        except ConditionFailed:
            raise _another_runs() from None

    def announce_request(
        self, access_id: str, request: Mapping[str, Any], execution_arn: str, tenant: str = DEFAULT_TENANT
    ) -> None:
        """Records the request that holds the lock, so that other accesses include its statements in shared policies.

        Called only after every rule has passed. Raises NotYetEffective if this execution no longer holds the lock.
        """
        values = {":me": execution_arn, ":request": json.dumps(request), ":tenant": tenant}
        update = "SET pending = :request, pendingTenant = :tenant"
        try:
            self._table.update("access", access_id, update, "running = :me", values)
        except ConditionFailed:
            raise _another_runs() from None

    def lock_for_rollback(self, access_id: str, execution_arn: str, holder: str) -> None:
        """Locks the access for the rollback of an execution. Raises NotYetEffective while another request holds the lock.

        `holder` is the execution that runs the rollback: `execution_arn` itself or, after that has ended, one of end-request.
        The next one of end-request takes the lock over.
        """
        update = "SET running = :me, runningSince = :now, undoing = :failed"
        values = _holder(holder) | {":failed": execution_arn}
        try:
            self._table.update("access", access_id, update, f"{_FREE} OR running = :failed OR undoing = :failed", values)
        except ConditionFailed:
            raise _another_runs() from None

    def holder(self, access_id: str) -> str | None:
        """The execution that holds the lock of the access, or None."""
        running = self._table.get("access", access_id).get("running")
        return str(running) if running else None

    def is_locked(self, access_id: str) -> bool:
        """Whether a request is running for the access."""
        return "running" in self._table.get("access", access_id)

    def unlock(self, access_id: str, execution_arn: str) -> None:
        """Releases the lock if this execution holds it.

        Only the attributes of the lock change, so that the role of report_outcome needs no permission for others.
        """
        with suppress(ConditionFailed):
            update = "REMOVE running, runningSince, undoing"
            self._table.update("access", access_id, update, "running = :me", {":me": execution_arn})


def _holder(execution_arn: str) -> dict[str, Any]:
    return {":me": execution_arn, ":now": int(time.time())}


def _another_runs() -> NotYetEffective:
    return NotYetEffective("another request is running for this access")
