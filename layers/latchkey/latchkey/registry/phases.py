"""The phase of an access: an unfinished rotation, move or offboarding. Stored in the item of kind `access`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from latchkey.access.lifecycle import Phase, State
from latchkey.errors import TransientAwsError
from latchkey.registry.table import ConditionFailed, Table

_ATTRIBUTES = ("phase", "phaseRequest", "phaseSince", "phaseFacts")


@dataclass(frozen=True)
class AccessPhase:
    """A phase, the request that began it, its start time, and the facts that are needed to continue it.

    `facts` contains ARNs, version IDs, times and the settings that were found, and never a secret value.
    """

    name: Phase
    request_id: str
    since: datetime
    facts: Mapping[str, Any]


def phase_of(item: Mapping[str, Any]) -> AccessPhase | None:
    """The phase in the item of an access, or None."""
    if "phase" not in item:
        return None
    since, facts = datetime.fromisoformat(item["phaseSince"]), json.loads(item["phaseFacts"])
    return AccessPhase(item["phase"], item["phaseRequest"], since, facts)


class Phases:
    """Begins and ends the phases of recorded accesses. The caller holds the lock of the access."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, access_id: str) -> AccessPhase | None:
        """The phase of an access, or None."""
        return phase_of(self._table.get("access", access_id))

    def state(self, access_id: str) -> State:
        """The phase of an access or, if it has none, its status. None if no onboarding has succeeded."""
        item = self._table.get("access", access_id)
        phase = phase_of(item)
        return phase.name if phase else cast("State", item.get("status"))

    def begin(self, access_id: str, name: Phase, request_id: str, facts: Mapping[str, Any] | None = None) -> AccessPhase:
        """Records that a request has begun a phase. If the access is in this phase already, its time and facts stay.

        Raises TransientAwsError if the access is in another phase or is not recorded.
        """
        values: dict[str, Any] = {":phase": name, ":request": request_id, ":facts": json.dumps(facts or {})}
        values[":now"] = datetime.now(UTC).isoformat()
        update = "SET phase = :phase, phaseRequest = :request, phaseSince = if_not_exists(phaseSince, :now)"
        update += ", phaseFacts = if_not_exists(phaseFacts, :facts)"
        condition = "attribute_exists(version) AND (attribute_not_exists(phase) OR phase = :phase)"
        try:
            item = self._table.update("access", access_id, update, condition, values)
        except ConditionFailed:
            raise TransientAwsError("another request is rotating, moving or offboarding this access") from None
        return cast("AccessPhase", phase_of(item))

    def note(self, access_id: str, name: Phase, facts: Mapping[str, Any]) -> None:
        """Replaces the facts of a phase. Raises TransientAwsError if the access is not in it."""
        values = {":phase": name, ":facts": json.dumps(facts)}
        try:
            self._table.update("access", access_id, "SET phaseFacts = :facts", "phase = :phase", values)
        except ConditionFailed:
            raise TransientAwsError("another request has ended the phase of this access") from None

    def end(self, access_id: str, name: Phase) -> None:
        """Ends a phase, so that the status of the access is its state again. Does nothing if the access is not in it."""
        with suppress(ConditionFailed):
            update = f"REMOVE {', '.join(_ATTRIBUTES)}"
            self._table.update("access", access_id, update, "phase = :phase", {":phase": name})

    def snapshot(self, access_id: str) -> dict[str, str]:
        """The attributes of the phase, for `restore`. Empty if the access is in none."""
        item = self._table.get("access", access_id)
        return {name: str(item[name]) for name in _ATTRIBUTES if name in item}

    def restore(self, access_id: str, previous: Mapping[str, str]) -> None:
        """Begins a phase that was ended again, as it was. Does nothing if the access is in a phase or not recorded."""
        update = f"SET {', '.join(f'{name} = :{name}' for name in previous)}"
        values = {f":{name}": value for name, value in previous.items()}
        with suppress(ConditionFailed):
            condition = "attribute_exists(version) AND attribute_not_exists(phase)"
            self._table.update("access", access_id, update, condition, values)
