"""The state of the sweep: one item of kind `sweep`, which says until when each access was last seen in use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from latchkey.registry.table import Table

# An item has at most 400 KB:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-items
_LONGEST_SUSPECTS = 300_000


@dataclass(frozen=True)
class SweepState:
    """When the last complete sweep began, and the accesses that it did not see in use, each with the time when one last was.

    That time is None if no sweep ever saw the access in use.
    """

    began: datetime | None = None
    suspects: Mapping[str, datetime | None] = field(default_factory=dict)

    def in_use_at(self, access_id: str) -> datetime | None:
        """When a sweep last saw the access in use, or None."""
        return self.suspects.get(access_id, self.began)


class Sweeps:
    """Reads and writes the state. Only reports use it: it decides nothing."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def state(self) -> SweepState:
        """The state after the last complete sweep; empty if there was none since the update from version 0.1.0."""
        item = self._table.get("sweep", "state")
        suspects = json.loads(item.get("suspects", "{}"))
        return SweepState(_time(item.get("began")), {name: _time(at) for name, at in suspects.items()})

    def complete(self, state: SweepState) -> None:
        """Records the state after a complete sweep; no times at all if there are more suspects than an item can contain."""
        suspects = json.dumps({name: at and at.isoformat() for name, at in sorted(state.suspects.items())})
        values = {":began": state.began and state.began.isoformat(), ":suspects": suspects}
        if len(suspects) > _LONGEST_SUSPECTS:
            values = {":began": None, ":suspects": "{}"}
        self._table.update("sweep", "state", "SET began = :began, suspects = :suspects", None, values)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
