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
from latchkey.registry.requests import RequestRef
from latchkey.registry.table import ConditionFailed, Table
from latchkey.tags import DEFAULT_TENANT

_FREE = "attribute_not_exists(running) OR running = :me"


@dataclass(frozen=True)
class LockHolder:
    """The execution that holds the lock of an access, and since when.

    `request` is its request. It is None if an earlier version took the lock.
    """

    execution_arn: str
    since: datetime
    request: RequestRef | None = None


# Returns whether the execution that holds a lock is over, so that another one can take the lock over.
type IsOver = Callable[[LockHolder], bool]


def _no_proof(_holder: LockHolder) -> bool:
    return False


def holder_of(item: Mapping[str, Any]) -> LockHolder | None:
    """The holder of the lock in the item of an access, or None."""
    if "running" not in item:
        return None
    named = item.get("runningRequest")
    request = RequestRef(named, "", item.get("runningTenant", DEFAULT_TENANT)) if named else None
    return LockHolder(str(item["running"]), datetime.fromtimestamp(int(item["runningSince"]), UTC), request)


class AccessLocks:
    """Locks accesses for executions. An execution is identified by its ARN. A lock never expires."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def lock(
        self,
        access_id: str,
        execution_arn: str,
        is_over: IsOver = _no_proof,
        request: RequestRef | None = None,
        accompanied: str | None = None,
    ) -> None:
        """Locks the access for one request. Raises NotYetEffective while another execution holds the lock.

        The lock of an execution that `is_over` is taken over. Others that wait for the lock read which request has it. If the
        request changes this access together with its own, that is the `accompanied` one.
        """
        update = "SET running = :me, runningSince = :now"
        values = _holder(execution_arn)
        if accompanied is not None:
            update += ", runningWith = :with"
            values |= {":with": accompanied}
        if request is not None:
            update += ", runningRequest = :request, runningTenant = :tenant"
            values |= {":request": request.request_id, ":tenant": request.tenant}
        update += " REMOVE pending, pendingTenant, undoing"
        update += "" if request else ", runningRequest, runningTenant"
        update += "" if accompanied else ", runningWith"
        try:
            self._table.update("access", access_id, update, _FREE, values)
        except ConditionFailed:
            self._take_over(access_id, update, values, is_over, request)

    def await_free(self, access_id: str, is_over: IsOver, request: RequestRef) -> None:
        """Raises NotYetEffective while the execution of another request holds the lock of the access."""
        found = holder_of(self._table.get("access", access_id))
        if found is not None and not is_over(found):
            raise _held_by(found, request)

    def _take_over(
        self, access_id: str, update: str, values: Mapping[str, Any], is_over: IsOver, request: RequestRef | None
    ) -> None:
        found = holder_of(self._table.get("access", access_id))
        if found is None or not is_over(found):
            raise _held_by(found, request)
        try:
            held = {**values, ":former": found.execution_arn}
            self._table.update("access", access_id, update, "running = :former", held)
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

    def holder_with(self, access_id: str) -> tuple[str | None, str | None, str | None]:
        """The execution that holds the lock of the access, the access that this one accompanies, and the id of the request."""
        item = self._table.get("access", access_id)
        return item.get("running"), item.get("runningWith"), item.get("runningRequest")

    def is_locked(self, access_id: str) -> bool:
        """Whether a request is running for the access."""
        return "running" in self._table.get("access", access_id)

    def unlock(self, access_id: str, execution_arn: str) -> None:
        """Releases the lock if this execution holds it.

        Only the attributes of the lock change, so that the role of report_outcome needs no permission for others.
        """
        with suppress(ConditionFailed):
            update = "REMOVE running, runningSince, runningRequest, runningTenant, runningWith, undoing"
            self._table.update("access", access_id, update, "running = :me", {":me": execution_arn})


def _holder(execution_arn: str) -> dict[str, Any]:
    return {":me": execution_arn, ":now": int(time.time())}


def _held_by(holder: LockHolder | None, waiting: RequestRef | None) -> NotYetEffective:
    """Names the request that has the access, unless it belongs to another tenant."""
    if holder is None or holder.request is None or waiting is None or holder.request.tenant != waiting.tenant:
        return _another_runs()
    since = holder.since.isoformat(timespec="seconds")
    return NotYetEffective(f"request {holder.request.request_id} has been running for this access since {since}")


def _another_runs() -> NotYetEffective:
    return NotYetEffective("another request is running for this access")
