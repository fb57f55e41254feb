"""Items of kind `slot`: until when the calls of each API are reserved, one item for each quota of the account."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from latchkey.registry.table import ConditionFailed, Table


class Slots:
    """Reserves the time of calls, so that those who reserve do not exceed a quota together."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def reserve(self, quota: str, milliseconds: int, now: datetime) -> datetime:
        """Reserves the next free time of a quota for calls that use it up for a while. Returns when the calls can begin.

        Both writes are atomic. Of callers at the same time, one begins a new row of slots, and the others follow it.
        """
        present = math.floor(now.timestamp() * 1000)
        try:
            return self._follow(quota, milliseconds, present)
        except ConditionFailed:
            pass
        try:
            values = {":now": present, ":end": present + milliseconds}
            self._table.update("slot", quota, "SET freeAt = :end", "attribute_not_exists(freeAt) OR freeAt < :now", values)
        except ConditionFailed:
            return self._follow(quota, milliseconds, present)
        return _time(present)

    def _follow(self, quota: str, milliseconds: int, present: int) -> datetime:
        values = {":now": present, ":duration": milliseconds}
        taken = self._table.update("slot", quota, "SET freeAt = freeAt + :duration", "freeAt >= :now", values)
        return _time(int(taken["freeAt"]) - milliseconds)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
