"""Items of kind `notice`: recorded events about cleanups, each kept until it is published."""

from __future__ import annotations

from dataclasses import dataclass

from latchkey.registry.accesses import StatusChange
from latchkey.registry.table import Table


@dataclass(frozen=True)
class RecordedNotice:
    """A notice about an access. `notice_id` is the `outcomeId` of the event."""

    access_id: str
    notice_id: str
    change: StatusChange


class Notices:
    """An outbox: a notice is recorded before it is published, and deleted afterwards."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def record(self, notice: RecordedNotice) -> None:
        """Records a notice. If a notice with the same id exists, it stays unchanged."""
        text = notice.change.model_dump_json(by_alias=True)
        update = "SET accessId = :access, #notice = if_not_exists(#notice, :notice)"
        values = {":access": notice.access_id, ":notice": text}
        self._table.update("notice", _id(notice), update, None, values, {"#notice": "notice"})

    def unpublished(self, access_id: str = "") -> list[RecordedNotice]:
        """The recorded notices about one access or about all."""
        return [
            RecordedNotice(
                item["accessId"],
                item["id"].rpartition(" ")[2],
                StatusChange.model_validate_json(item["notice"]),
            )
            for item in self._table.query("notice", f"{access_id} " if access_id else "")
        ]

    def note_published(self, notice: RecordedNotice) -> None:
        """Deletes a notice after it was published."""
        self._table.delete("notice", _id(notice))


def _id(notice: RecordedNotice) -> str:
    return f"{notice.access_id} {notice.notice_id}"
