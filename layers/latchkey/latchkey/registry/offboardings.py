"""The results of offboardings, in the items of kind `access`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from latchkey.access.offboarded import Offboarded
from latchkey.access.record import AccessRecord
from latchkey.errors import TransientAwsError
from latchkey.registry.table import ConditionFailed, Table, now_text


def offboarded_of(item: Mapping[str, Any]) -> Offboarded | None:
    """The result of the offboarding in the item of an access, or None if the access is not offboarded."""
    return (
        Offboarded.of(json.loads(item["offboarded"])) if item.get("status") == "offboarded" and "offboarded" in item else None
    )


def needs_nothing(item: Mapping[str, Any]) -> bool:
    """Whether the resource of an access no longer uses the secret, because the access is being offboarded or is offboarded.

    Other requests do not write the statements of such an access again.
    """
    offboarded = offboarded_of(item)
    return "detached" in item if offboarded is None else not offboarded.reads


class Offboardings:
    """Reads and writes the results of offboardings. The caller holds the lock of the access."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, access_id: str) -> Offboarded | None:
        """The result of the offboarding of an access, or None if it is not offboarded."""
        return offboarded_of(self._table.get("access", access_id))

    def note_detached(self, access_id: str) -> None:
        """Records that the resource no longer uses the secret, so that no other request writes statements of this access."""
        self._table.update("access", access_id, "SET detached = :now", "attribute_exists(version)", {":now": now_text()})

    def save(self, record: AccessRecord, offboarded: Offboarded) -> None:
        """Records an access as offboarded, without an unconfirmed hand-off and without a phase.

        Raises TransientAwsError if the record has changed since it was read: the caller must read it and decide again.
        """
        values: dict[str, Any] = {":read": record.version, ":next": record.version + 1, ":now": now_text()}
        values |= {":status": "offboarded", ":offboarded": json.dumps(offboarded.wire)}
        update = "SET #status = :status, offboarded = :offboarded, version = :next, updatedAt = :now"
        update += " REMOVE handoff, findings, findingsIdentity, lost, #left, detached"
        update += ", phase, phaseRequest, phaseSince, phaseFacts"
        names = {"#status": "status", "#left": "left"}
        try:
            self._table.update("access", record.access_id, update, "version = :read", values, names)
        except ConditionFailed:
            raise TransientAwsError("another request changed the record of the access at the same time") from None

    def reschedule(self, access_id: str, secret_arn: str, ends: datetime) -> None:
        """Records another end of the recovery window of the secret of an offboarded access."""
        self._change(access_id, lambda found: found.secret_arn == secret_arn, secretEnds=ends.isoformat(timespec="seconds"))

    def end_key(self, access_id: str, key_arn: str) -> None:
        """Records that the key of an offboarded access is scheduled for deletion, or stays for good."""
        self._change(access_id, lambda found: found.key_arn == key_arn, keyArn=None)

    def _change(self, access_id: str, applies: Callable[[Offboarded], bool], **changes: str | None) -> None:
        item = self._table.get("access", access_id)
        found = offboarded_of(item)
        if found is None or not applies(found):
            return
        values = {":offboarded": json.dumps(found.wire | changes), ":read": item["offboarded"]}
        with suppress(ConditionFailed):
            self._table.update("access", access_id, "SET offboarded = :offboarded", "offboarded = :read", values)
