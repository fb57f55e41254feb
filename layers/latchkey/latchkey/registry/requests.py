"""Items of kind `request`: the execution and the content of each request id, and the outcome of each request."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from latchkey.errors import Conflict
from latchkey.registry.table import ConditionFailed, Table, now_text


class Requests:
    """Records requests and their outcomes. A request is identified by its id and the hash of its content."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def claim(self, request_id: str, content_hash: str, execution_arn: str) -> None:
        """Records the request before it changes anything. Raises Conflict if its id was used for different content."""
        try:
            self._table.update(
                "request",
                request_id,
                "SET contentHash = :hash, executionArn = :execution, receivedAt = if_not_exists(receivedAt, :now)",
                "attribute_not_exists(id) OR (contentHash = :hash AND executionArn = :execution)",
                {":hash": content_hash, ":execution": execution_arn, ":now": now_text()},
            )
        except ConditionFailed:
            raise Conflict("was already used for a different request: send the request with a new requestId") from None

    def record_outcome(
        self, request_id: str, content_hash: str, outcome_id: str, detail_type: str, detail: str
    ) -> tuple[str, str]:
        """Records the outcome of a request unless it has one. Returns the detail type and the detail that are recorded.

        If the request id was used for different content, the outcome is recorded under an id derived from the request id and
        the hash.
        """
        values = {":hash": content_hash, ":id": outcome_id, ":type": detail_type, ":detail": detail, ":now": now_text()}
        update = "SET contentHash = :hash, outcomeId = :id, outcomeType = :type, outcome = :detail, endedAt = :now"
        first = "attribute_not_exists(outcomeId) AND (attribute_not_exists(contentHash) OR contentHash = :hash)"
        for item_id in _item_ids(request_id, content_hash):
            try:
                self._table.update("request", item_id, update, first, values)
                return detail_type, detail
            except ConditionFailed:
                recorded = self._table.get("request", item_id)
                if recorded["contentHash"] == content_hash:
                    return recorded["outcomeType"], recorded["outcome"]
        raise Conflict("two requests share an id and the first characters of their content hash")

    def has_outcome(self, request_id: str, content_hash: str) -> bool:
        """Whether an outcome is recorded for this request with this content."""
        items = (self._table.get("request", item_id) for item_id in _item_ids(request_id, content_hash))
        return any("outcomeId" in item and item["contentHash"] == content_hash for item in items)

    def unanswered(self, before: datetime) -> Iterator[str]:
        """The execution ARNs of requests that were received before `before` and have no outcome."""
        for item in self._table.query("request", without="outcomeId"):
            if datetime.fromisoformat(item["receivedAt"]) < before:
                yield item["executionArn"]


def _item_ids(request_id: str, content_hash: str) -> tuple[str, str]:
    """The ids under which an outcome can be recorded: the request id or, if that is taken, one that includes the hash."""
    return request_id, f"{request_id}/{content_hash[:16]}"
