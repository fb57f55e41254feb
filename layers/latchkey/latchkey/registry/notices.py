"""Items of kind `notice`: the events that no request asked for, recorded before they are published, and kept afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

from latchkey.registry.accesses import StatusChange
from latchkey.registry.table import Table, now_text


@dataclass(frozen=True)
class RecordedNotice:
    """A notice about an access. `notice_id` is the `outcomeId` of the event."""

    access_id: str
    notice_id: str
    change: StatusChange


class Notices:
    """The recorded notices. One without `publishedAt` might not have been published."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def record(self, notice: RecordedNotice) -> None:
        """Records a notice. If a notice with the same id exists, it stays unchanged."""
        self._write(notice, "")

    def unpublished(self, access_id: str = "") -> list[RecordedNotice]:
        """The recorded notices about one access or about all."""
        return [
            RecordedNotice(
                item["accessId"],
                item["id"].rpartition(" ")[2],
                StatusChange.model_validate_json(item["notice"]),
            )
            for item in self._table.query("notice", f"{access_id} " if access_id else "", without="publishedAt")
        ]

    def keep_published(self, notice: RecordedNotice) -> None:
        """Records that a notice was published, whether or not it was recorded before."""
        self._write(notice, ", publishedAt = if_not_exists(publishedAt, :published)", {":published": now_text()})

    def _write(self, notice: RecordedNotice, settings: str, values: Mapping[str, str] | None = None) -> None:
        """The members that people read have the same names as those of the outcome of a request."""
        change = notice.change
        own = {
            ":access": notice.access_id,
            ":notice": change.model_dump_json(by_alias=True),
            ":type": change.kind,
            ":detail": change.detail,
            ":at": change.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        }
        update = (
            "SET accessId = :access, #notice = if_not_exists(#notice, :notice), recordedAt = if_not_exists(recordedAt, :at)"
        )
        update += ", outcomeType = if_not_exists(outcomeType, :type), outcome = if_not_exists(outcome, :detail)"
        self._table.update("notice", _id(notice), update + settings, None, own | {**(values or {})}, {"#notice": "notice"})


def _id(notice: RecordedNotice) -> str:
    return f"{notice.access_id} {notice.notice_id}"
