"""The registry for a plan: read as it is, and not written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any

from latchkey.aws import clients
from latchkey.registry.journal import Entry, RequestJournal
from latchkey.registry.registry import Registry
from latchkey.registry.table import Lease, Table
from latchkey.settings import settings


class UnwrittenTable(Table):
    """The table without writes. A lease is held by nobody, because nothing is changed under it."""

    def update(
        self,
        kind: str,  # noqa: ARG002  nothing is written
        item_id: str,  # noqa: ARG002
        update: str,  # noqa: ARG002
        condition: str | None,  # noqa: ARG002
        values: Mapping[str, Any],  # noqa: ARG002
        names: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        return {}

    def delete(self, kind: str, item_id: str, condition: str | None = None, values: Mapping[str, Any] | None = None) -> None:
        """Deletes nothing."""

    @contextmanager
    def lease(self, name: str, done: Callable[[], bool] = lambda: False) -> Iterator[Lease | None]:  # noqa: ARG002
        yield Lease(name, math.inf)


class UnwrittenJournal(RequestJournal):
    """The journal of a request that changes nothing: without entries."""

    def intend(self, step: str, wanted: object, *, found: object = None, anew: bool = False) -> Entry:  # noqa: ARG002
        return Entry(step, found, wanted, None, "open", datetime.now(UTC))

    def complete(self, step: str, result: object) -> None:
        """Records nothing."""

    def entry(self, step: str) -> Entry | None:  # noqa: ARG002
        return None


class PlannedRegistry(Registry):
    """The registry as a plan uses it. Its request holds no lock."""

    def __init__(self, table: UnwrittenTable) -> None:
        super().__init__(table)
        self._unwritten = table

    def journal_of(self, execution_arn: str | None, access_id: str, tenant: str) -> UnwrittenJournal:
        """The journal of a request, which is empty."""
        return UnwrittenJournal(execution_arn or "", access_id, tenant, self._unwritten)


@cache
def planned_registry() -> PlannedRegistry:
    """The registry of this stack for plans, created on first use."""
    return PlannedRegistry(UnwrittenTable(clients.dynamodb(), settings().access_table))
