"""The lock of the sweep: one item of kind `lease` with the holder, the expiration time and the current occasion."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from latchkey.registry.table import ConditionFailed, Table

# Longer than the timeout of the function, so that the lock never expires under a running sweep.
SWEEP_LOCK_SECONDS = 330


class SweepLock:
    """Locks the sweep for one event at a time.

    Sweeps within one grace period share an occasion. The names of the executions that they start are derived from it, so that
    these sweeps start each execution only once.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def lock(self, event_id: str, grace_seconds: int) -> str | None:
        """Takes the lock for an event and returns the occasion, or None while another sweep holds the lock.

        The same event can take the lock again, for example after a crash.
        """
        now = int(time.time())
        free = "attribute_not_exists(holder) OR holder = :me OR expiresAt < :now"
        values = {":me": event_id, ":now": now, ":end": now + SWEEP_LOCK_SECONDS}
        held = self._update("SET holder = :me, expiresAt = :end", free, values)
        if held is None:
            return None
        if "occasion" in held and now < int(held["since"]) + grace_seconds:
            return str(held["occasion"])
        self._update("SET occasion = :me, since = :now", "holder = :me", {":me": event_id, ":now": now})
        return event_id

    def unlock(self, event_id: str) -> None:
        """Releases the lock if this event holds it."""
        self._update("REMOVE holder, expiresAt", "holder = :me", {":me": event_id})

    def _update(self, update: str, condition: str, values: dict[str, Any]) -> dict[str, Any] | None:
        with suppress(ConditionFailed):
            return self._table.update("lease", "sweep", update, condition, values)
        return None
