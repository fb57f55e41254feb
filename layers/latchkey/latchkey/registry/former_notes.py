"""The notes of version 0.1.0 for a rollback, on the item of the access. Only one execution at a time could have such notes.

They move into the journal of their request when the access is next used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from latchkey.registry.journal import RequestJournal
from latchkey.registry.table import ConditionFailed, Table

FORMER_NOTES = "99-former-notes"
_NOTES = ("former", "previous", "undone", "unfinished")


def noted_execution(item: Mapping[str, Any]) -> str | None:
    """The execution whose rollback needs the notes: an unfinished one or, if there is none, the running one."""
    execution = item.get("unfinished") or (item.get("running") if "former" in item or "previous" in item else None)
    return str(execution) if execution else None


def move_notes(table: Table, journal: RequestJournal) -> None:
    """Moves the notes of this execution from the item of its access into its journal. A second call has no effect."""
    item = table.get("access", journal.access_id)
    if noted_execution(item) != journal.execution_arn:
        return
    notes: dict[str, Any] = {name: json.loads(item[name]) for name in ("former", "previous") if name in item}
    journal.intend(FORMER_NOTES, None, found=notes)
    for text in item.get("undone", ()):
        journal.note_undone(FORMER_NOTES, text)
    with suppress(ConditionFailed):
        condition = "unfinished = :me OR (attribute_not_exists(unfinished) AND running = :me)"
        update = f"REMOVE {', '.join(_NOTES)}"
        table.update("access", journal.access_id, update, condition, {":me": journal.execution_arn})
