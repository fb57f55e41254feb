"""The registry for a plan: reads include what the plan would have written, and nothing is written."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from latchkey.aws import clients
from latchkey.registry.access_locks import holder_of
from latchkey.registry.expressions import holds, updated
from latchkey.registry.registry import Registry
from latchkey.registry.table import ConditionFailed, Lease, Table
from latchkey.settings import settings

# The execution that has the lock and the journal of a planned request. No real one has this ARN.
PLAN: Final = "plan:plan"


class RememberingTable(Table):
    """The table with the changes of a plan, which are kept in memory. Nobody else holds a lease: nothing changes under it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._changed: dict[tuple[str, str], dict[str, Any]] = {}

    def get(self, kind: str, item_id: str) -> dict[str, Any]:
        changed = self._changed.get((kind, item_id))
        return self.stored(kind, item_id) if changed is None else copy.deepcopy(changed)

    def stored(self, kind: str, item_id: str) -> dict[str, Any]:
        """The item in DynamoDB, or an empty dict."""
        return super().get(kind, item_id)

    def query(self, kind: str, beginning: str = "", *, without: str = "") -> Iterator[dict[str, Any]]:
        items = {item["id"]: item for item in super().query(kind, beginning)}
        changed = {key[1]: copy.deepcopy(item) for key, item in self._changed.items() if key[0] == kind}
        items |= {item_id: item for item_id, item in changed.items() if item_id.startswith(beginning)}
        yield from (item for _, item in sorted(items.items()) if item and without not in item)

    def update(
        self,
        kind: str,
        item_id: str,
        update: str,
        condition: str | None,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        item = self._require(kind, item_id, condition, values, names)
        changed = self._changed[kind, item_id] = updated(item or {"kind": kind, "id": item_id}, update, values, names)
        return copy.deepcopy(changed)

    def delete(self, kind: str, item_id: str, condition: str | None = None, values: Mapping[str, Any] | None = None) -> None:
        self._require(kind, item_id, condition, values or {})
        self._changed[kind, item_id] = {}

    def _require(
        self,
        kind: str,
        item_id: str,
        condition: str | None,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The item. Raises ConditionFailed if it does not satisfy the condition."""
        item = self.get(kind, item_id)
        if condition is not None and not holds(item, condition, values, names):
            raise ConditionFailed
        return item

    @contextmanager
    def lease(self, name: str, done: Callable[[], bool] = lambda: False) -> Iterator[Lease | None]:  # noqa: ARG002
        yield Lease(name, math.inf)


class PlannedRegistry(Registry):
    """The registry as one plan uses it."""

    def __init__(self, table: RememberingTable) -> None:
        super().__init__(table)
        self._remembering = table

    def hold(self, access_id: str, accompanied: str | None = None) -> None:
        """Gives the planned request the lock of an access, without locking the access."""
        self.locks.lock(access_id, PLAN, lambda _: True, accompanied=accompanied)

    def present_holder(self, access_id: str) -> str | None:
        """The execution that now holds the lock of the access, or None."""
        found = holder_of(self._remembering.stored("access", access_id))
        return found.execution_arn if found else None


def planned_registry() -> PlannedRegistry:
    """A registry of this stack for one plan."""
    return PlannedRegistry(RememberingTable(clients.dynamodb(), settings().access_table))
