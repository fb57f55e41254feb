"""The observed states of accesses, and the changes of them that are still to be told."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import Any

from pydantic import AwareDatetime

from latchkey import aws
from latchkey.accesses import AccessRecord, Status
from latchkey.documents import Document
from latchkey.settings import settings
from latchkey.table import ConditionFailed, Table, now_text

# Longer than a report and its retries take.
TELLING = timedelta(minutes=10)


class Change(Document):
    """The event that tells a change of state, and the execution that is to publish it."""

    kind: str
    detail: str
    execution_arn: str
    at: AwareDatetime

    def is_for(self, execution_arn: str, now: AwareDatetime) -> bool:
        """Is it this execution that publishes it? Any other may, when the one that recorded it must have died."""
        return self.execution_arn == execution_arn or now > self.at + TELLING


class States:
    """Members of the items of kind `access`: a change is recorded with its event, which stays until it is published."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def lost(self, access_id: str) -> tuple[str, ...]:
        """The checks that failed when the state of an access was last observed."""
        return tuple(self._table.get("access", access_id).get("lost", ()))

    def record(self, record: AccessRecord, status: Status, lost: Sequence[str], change: Change | None = None) -> None:
        """Writes the observed state of an access over the version it was read with.

        One that was written since is left to its writer, who tells what changed.
        """
        values: dict[str, Any] = {":read": record.version, ":next": record.version + 1, ":now": now_text()}
        values |= {":status": status, ":lost": [*lost]}
        update = "SET #status = :status, lost = :lost, version = :next, updatedAt = :now"
        if change:
            values[":change"] = {_wire(change)}
            update += " ADD untold :change"
        with suppress(ConditionFailed):
            self._table.update("access", record.access_id, update, "version = :read", values, {"#status": "status"})

    def untold(self, access_id: str) -> list[Change]:
        """The changes that were recorded and may not have been published."""
        return [Change.model_validate_json(told) for told in sorted(self._table.get("access", access_id).get("untold", ()))]

    def note_told(self, access_id: str, change: Change) -> None:
        """Notes that a change was published."""
        self._table.update("access", access_id, "DELETE untold :change", None, {":change": {_wire(change)}})


@cache
def states() -> States:
    """Those of this stack."""
    return States(Table(aws.dynamodb(), settings().access_table))


def _wire(change: Change) -> str:
    return change.model_dump_json(by_alias=True)
