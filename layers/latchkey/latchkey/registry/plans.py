"""Items of kind `plan`: the plans of requests, by hash."""

from __future__ import annotations

from dataclasses import dataclass

from latchkey.registry.table import Table, now_text


@dataclass(frozen=True)
class RecordedPlan:
    """The request that was last planned with a hash, and the members of its plan as JSON."""

    request_id: str
    members: str


class Plans:
    """Reads and writes plans. Each tenant has its own."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def keep(self, tenant: str, plan_hash: str, request_id: str, members: str) -> None:
        """Records the plan of a request: its members, as JSON."""
        values = {":tenant": tenant, ":request": request_id, ":members": members, ":now": now_text()}
        update = "SET tenant = :tenant, requestId = :request, members = :members, plannedAt = :now"
        self._table.update("plan", _id(tenant, plan_hash), update, None, values)

    def find(self, tenant: str, plan_hash: str) -> RecordedPlan | None:
        """The plan of a tenant with this hash, or None."""
        item = self._table.get("plan", _id(tenant, plan_hash))
        return RecordedPlan(item["requestId"], item["members"]) if item else None


def _id(tenant: str, plan_hash: str) -> str:
    return f"{tenant}/{plan_hash}"
