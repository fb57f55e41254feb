"""Items of kind `finding`: the findings of each access, and the repairs that were started."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from latchkey.access.findings.known import Attempt, KnownFindings
from latchkey.errors import TransientAwsError
from latchkey.events.findings import CheckedValue, Finding
from latchkey.registry.table import ConditionFailed, Table


class FindingsOfAccesses:
    """Reads and writes what is known about the findings of accesses, one item for each access."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, access_id: str) -> KnownFindings | None:
        """What is known about an access, or None if no reconciliation has seen it."""
        item = self._table.get("finding", access_id)
        return _known(item) if "seenAt" in item else None

    def all(self) -> Iterator[KnownFindings]:
        """What is known about all accesses."""
        yield from (_known(item) for item in self._table.query("finding") if "seenAt" in item)

    def value(self, access_id: str) -> CheckedValue | None:
        """The verdict on the last version of the secret of an access whose value was checked."""
        return _value(self._table.get("finding", access_id))

    def checked_versions(self) -> dict[str, str]:
        """The last version of a secret that was checked, by access."""
        values = (_value(item) for item in self._table.query("finding"))
        return {one.access_id: one.version for one in values if one}

    def note_value(self, value: CheckedValue) -> None:
        """Records a verdict."""
        self._table.update(
            "finding", value.access_id, "SET checkedValue = :value", None, {":value": value.model_dump_json(by_alias=True)}
        )

    def save(self, found: KnownFindings, former: KnownFindings | None) -> None:
        """Writes what a reconciliation has seen. Raises TransientAwsError if another one has begun a repair since `former`."""
        values = {
            ":findings": json.dumps([one.model_dump(mode="json", by_alias=True) for one in found.findings]),
            ":due": json.dumps(found.due),
            ":seen": _text(found.seen_at),
            ":attempts": _attempts(found),
            ":flapping": json.dumps({kind: _text(at) for kind, at in found.flapping.items()}),
        }
        update = "SET findings = :findings, due = :due, seenAt = :seen, attempts = :attempts, flapping = :flapping"
        condition = "attempts = :known" if former else "attribute_not_exists(attempts)"
        known = {":known": _attempts(former)} if former else {}
        try:
            self._table.update("finding", found.access_id, update, condition, values | known)
        except ConditionFailed:
            raise TransientAwsError("another reconciliation has decided about the access in the meantime") from None

    def note_attempt(self, found: KnownFindings, request_id: str, at: datetime) -> bool:
        """Records that a repair is about to start. Returns False if another reconciliation has decided in the meantime."""
        if request_id in found.attempts:  # a retry
            return True
        values = {":attempts": _attempts(found.attempted(request_id, at)), ":known": _attempts(found)}
        values[":seen"] = _text(found.seen_at)
        try:
            condition = "attempts = :known AND seenAt = :seen"
            self._table.update("finding", found.access_id, "SET attempts = :attempts", condition, values)
        except ConditionFailed:
            return False
        return True


def _value(item: Mapping[str, Any]) -> CheckedValue | None:
    return CheckedValue.model_validate_json(item["checkedValue"]) if "checkedValue" in item else None


def _attempts(found: KnownFindings) -> str:
    noted = {name: {"at": _text(one.at), "kinds": one.kinds} for name, one in sorted(found.attempts.items())}
    return json.dumps(noted)


def _known(item: Mapping[str, Any]) -> KnownFindings:
    attempts = json.loads(item["attempts"])
    return KnownFindings(
        access_id=item["id"],
        seen_at=datetime.fromisoformat(item["seenAt"]),
        findings=tuple(Finding.model_validate_json(json.dumps(one)) for one in json.loads(item["findings"])),
        due=tuple(json.loads(item["due"])),
        attempts={name: Attempt(datetime.fromisoformat(one["at"]), tuple(one["kinds"])) for name, one in attempts.items()},
        flapping={kind: datetime.fromisoformat(at) for kind, at in json.loads(item["flapping"]).items()},
    )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")
