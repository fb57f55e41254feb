"""Locks on accesses, so that each access has at most one running request. The lock is part of the item of kind `access`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from latchkey.errors import NotYetEffective
from latchkey.registry.table import ConditionFailed, Table

# Longer than TimeoutSeconds of the state machine, so the execution that holds an expired lock has ended.
STALE_SECONDS = 2 * 3600

_FREE = "attribute_not_exists(running) OR running = :me OR runningSince < :stale"


def is_locked(item: Mapping[str, Any]) -> bool:
    """Whether the item of an access holds a lock that has not expired."""
    return "running" in item and int(item["runningSince"]) >= int(time.time()) - STALE_SECONDS


class AccessLocks:
    """Locks accesses for executions. An execution is identified by its ARN."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def lock(self, access_id: str, execution_arn: str) -> None:
        """Locks the access for one request. Raises NotYetEffective while another execution holds the lock.

        A lock expires after STALE_SECONDS. The journal entries of an unfinished rollback are kept.
        """
        update = "SET running = :me, runningSince = :now REMOVE pending"
        try:
            self._table.update("access", access_id, update, _FREE, _holder(execution_arn))
        except ConditionFailed:
            raise NotYetEffective("another request is running for this access") from None

    def announce_request(self, access_id: str, request: Mapping[str, Any], execution_arn: str) -> None:
        """Records the request that holds the lock, so that other accesses include its statements in shared policies.

        Called only after every rule has passed. Raises NotYetEffective if this execution no longer holds the lock.
        """
        values = {":me": execution_arn, ":request": json.dumps(request)}
        try:
            self._table.update("access", access_id, "SET pending = :request", "running = :me", values)
        except ConditionFailed:
            raise NotYetEffective("another request is running for this access") from None

    def resume_undo(self, access_id: str, execution_arn: str) -> bool:
        """Locks the access again for an execution whose rollback is unfinished. Returns False if it cannot.

        That is the case if no rollback of this execution is unfinished, or if another execution holds the lock.
        """
        update = "SET running = :me, runningSince = :now"
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
        return is_locked(self._table.get("access", access_id))

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
            update, condition = "SET unfinished = :me REMOVE running, runningSince, pending", held
        else:
            update = "REMOVE running, runningSince, pending, former, previous, undone, unfinished"
            condition = f"{held} AND (attribute_not_exists(unfinished) OR unfinished = :me)"
        try:
            self._table.update("access", access_id, update, condition, {":me": execution_arn})
        except ConditionFailed:
            # The unfinished rollback of another execution still needs the journal entries.
            with suppress(ConditionFailed):
                self._table.update("access", access_id, "REMOVE running, runningSince, pending", held, {":me": execution_arn})


def _holder(execution_arn: str) -> dict[str, Any]:
    now = int(time.time())
    return {":me": execution_arn, ":now": now, ":stale": now - STALE_SECONDS}
