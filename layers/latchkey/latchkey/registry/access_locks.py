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

        The lock of an execution that `is_over` is taken over, unless its rollback was resumed. The journal entries of an
        unfinished rollback are kept.
        """
        update = "SET running = :me, runningSince = :now REMOVE pending"
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
            self._table.update("access", access_id, update, "running = :former AND attribute_not_exists(undoing)", values)
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

    def resume_undo(self, access_id: str, execution_arn: str) -> bool:
        """Locks the access again for an execution whose rollback is unfinished. Returns False if it cannot.

        That is the case if no rollback of this execution is unfinished, or if another execution holds the lock.
        """
        update = "SET running = :me, runningSince = :now, undoing = :me"
        try:
            self._table.update("access", access_id, update, f"unfinished = :me AND ({_FREE})", _holder(execution_arn))
        except ConditionFailed:
            return False
        return True

    def holds_lock(self, access_id: str, execution_arn: str) -> bool:
        """Whether this execution holds the lock of the access."""
        return self._table.get("access", access_id).get("running") == execution_arn

    def is_locked(self, access_id: str) -> bool:
        """Whether a request is running for the access."""
        return "running" in self._table.get("access", access_id)

    def is_undo_unfinished(self, access_id: str, execution_arn: str) -> bool:
        """Whether the rollback of this execution is unfinished and no other request has started since."""
        item = self._table.get("access", access_id)
        return item.get("unfinished") == execution_arn and item.get("running") in (None, execution_arn)

    def unlock(self, access_id: str, execution_arn: str, *, unfinished: bool = False) -> None:
        """Releases the lock if this execution holds it, and deletes the journal entries for its rollback.

        If the rollback is `unfinished`, the entries are kept until it is resumed or a later request is recorded.
        """
        held = "running = :me"
        if unfinished:
            update, condition = "SET unfinished = :me REMOVE running, runningSince, undoing, pending", held
        else:
            update = "REMOVE running, runningSince, undoing, pending, former, previous, undone, unfinished"
            condition = f"{held} AND (attribute_not_exists(unfinished) OR unfinished = :me)"
        try:
            self._table.update("access", access_id, update, condition, {":me": execution_arn})
        except ConditionFailed:
            # The unfinished rollback of another execution still needs the journal entries.
            with suppress(ConditionFailed):
                update = "REMOVE running, runningSince, undoing, pending"
                self._table.update("access", access_id, update, held, {":me": execution_arn})


def _holder(execution_arn: str) -> dict[str, Any]:
    return {":me": execution_arn, ":now": int(time.time())}


def _another_runs() -> NotYetEffective:
    return NotYetEffective("another request is running for this access")
