"""Whose turn it is to sweep, and in whose name executions are started."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cache
from typing import Any

from latchkey import aws
from latchkey.settings import settings
from latchkey.table import ConditionFailed, Table

# Longer than the timeout of the function, so that a turn never ends under a living sweep.
TURN_SECONDS = 330


class Turns:
    """One item of kind `lease`: who holds the turn until when, and the occasion of the sweeps since some time."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def begin(self, event_id: str, grace_seconds: int) -> str | None:
        """Takes the turn for an event and gives the occasion by which executions are named; None while another has it.

        Events within the grace period of the first are one occasion. The same event takes its turn again after a crash.
        """
        now = int(time.time())
        free = "attribute_not_exists(holder) OR holder = :me OR expiresAt < :now"
        held = self._update(
            "SET holder = :me, expiresAt = :end", free, {":me": event_id, ":now": now, ":end": now + TURN_SECONDS}
        )
        if held is None:
            return None
        if "occasion" in held and now < int(held["since"]) + grace_seconds:
            return str(held["occasion"])
        self._update("SET occasion = :me, since = :now", "holder = :me", {":me": event_id, ":now": now})
        return event_id

    def end(self, event_id: str) -> None:
        """Gives the turn back."""
        self._update("REMOVE holder, expiresAt", "holder = :me", {":me": event_id})

    def _update(self, update: str, condition: str, values: dict[str, Any]) -> dict[str, Any] | None:
        with suppress(ConditionFailed):
            return self._table.update("lease", "sweep", update, condition, values)
        return None


@cache
def turns() -> Turns:
    """Those of this stack."""
    return Turns(Table(aws.dynamodb(), settings().access_table))
