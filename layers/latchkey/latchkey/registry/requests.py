"""Items of kind `request`: the content and the execution of each request id, and the outcome of each request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from latchkey.errors import Conflict
from latchkey.registry.table import ConditionFailed, Table, now_text
from latchkey.tags import DEFAULT_TENANT

# DescribeExecution is eventually consistent, so an execution that is not found can have just started. If it started before this
# time, it is over, and Step Functions has deleted it, which happens 90 days after its end:
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
JUST_STARTED = timedelta(days=1)
# The state machine repeats a step that is not effective yet every 5 seconds, 72 times. Each attempt takes time as well.
RETRIED_FOR = timedelta(seconds=5 * 72)
MOST_REUSES = 100


@dataclass(frozen=True)
class RequestRef:
    """The identity of a request: its tenant, its id, and the hash of its content."""

    request_id: str
    content_hash: str
    tenant: str = DEFAULT_TENANT

    @property
    def item_id(self) -> str:
        """The id of its item. Each tenant has its own request ids; those of the default tenant have no prefix."""
        return self.request_id if self.tenant == DEFAULT_TENANT else f"{self.tenant}/{self.request_id}"


@dataclass(frozen=True)
class ReceivedRequest:
    """A recorded request, and the id of the event that brought it; None if an earlier version recorded it."""

    ref: RequestRef
    event_id: str | None
    has_outcome: bool


@dataclass(frozen=True)
class Unanswered:
    """A request without an outcome: the execution that it has or was about to get, and the id of its item."""

    execution_arn: str
    item_id: str


@dataclass(frozen=True)
class PlannedStart:
    """When a request of a manifest starts, if that is reserved, and whether its execution has begun."""

    starts_at: datetime | None
    has_begun: bool


class Requests:
    """Records requests and their outcomes."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def receive(self, ref: RequestRef, event_id: str, execution_arn: str) -> str:
        """Records a request before its execution is started, so that the sweep finds it if nothing ever starts it.

        Returns the id of the first event of the request: a second one changes nothing. Raises Conflict if the id was used for
        different content.
        """
        update = "SET contentHash = :hash, tenant = :tenant, executionArn = if_not_exists(executionArn, :execution)"
        update += ", eventId = if_not_exists(eventId, :event), receivedAt = if_not_exists(receivedAt, :now)"
        values = {":hash": ref.content_hash, ":tenant": ref.tenant, ":execution": execution_arn, ":event": event_id}
        condition = "attribute_not_exists(id) OR contentHash = :hash"
        try:
            recorded = self._table.update("request", ref.item_id, update, condition, values | {":now": now_text()})
        except ConditionFailed:
            raise _already_used() from None
        return str(recorded["eventId"])

    def plan_start(self, ref: RequestRef, starts_at: datetime) -> None:
        """Records when a received request starts."""
        values = {":at": starts_at.isoformat(timespec="milliseconds")}
        self._table.update("request", ref.item_id, "SET startsAt = :at", "attribute_exists(id)", values)

    def planned_start(self, ref: RequestRef) -> PlannedStart:
        """When a received request starts, and whether it has started."""
        item = self._table.get("request", ref.item_id)
        starts_at = item.get("startsAt")
        return PlannedStart(datetime.fromisoformat(starts_at) if starts_at else None, "claimedAt" in item)

    def note_reuse(self, ref: RequestRef, event_id: str) -> None:
        """Records on the first request with an id the event that used the id for different content.

        The rejection is recorded under the id of that event. At most MOST_REUSES are listed.
        """
        values = {":event": {event_id}, ":most": MOST_REUSES}
        condition = "attribute_exists(contentHash) AND (attribute_not_exists(reusedBy) OR size(reusedBy) < :most)"
        with suppress(ConditionFailed):
            self._table.update("request", ref.item_id, "ADD reusedBy :event", condition, values)

    def note_waiting(self, request_id: str, tenant: str, reason: str) -> None:
        """Records that a request waits, for what, since when, and until when the state machine repeats the step."""
        now = datetime.now(UTC)
        times = (now, now + RETRIED_FOR)
        values = dict(zip((":now", ":until"), (at.isoformat(timespec="milliseconds") for at in times), strict=True))
        update = "SET waitingSince = if_not_exists(waitingSince, :now), waitingUntil = if_not_exists(waitingUntil, :until)"
        update += ", waitingFor = :reason"
        with suppress(ConditionFailed):
            item_id = RequestRef(request_id, "", tenant).item_id
            self._table.update("request", item_id, update, "attribute_exists(id)", values | {":reason": reason})

    def end_waiting(self, request_id: str, tenant: str) -> None:
        """Records that a request waits no longer. For what it waited stays in the item."""
        with suppress(ConditionFailed):
            item_id = RequestRef(request_id, "", tenant).item_id
            update = "SET waitedFor = waitingFor REMOVE waitingSince, waitingUntil, waitingFor"
            self._table.update("request", item_id, update, "attribute_exists(waitingSince)", {})

    def claim(self, ref: RequestRef, execution_arn: str) -> None:
        """Records that the execution of a request has started, before it changes anything. Its retries claim it again.

        Raises Conflict if the id was used for different content, or if the request has ended: before its execution started, or
        before somebody redrove the execution.
        """
        try:
            self._table.update(
                "request",
                ref.item_id,
                "SET contentHash = :hash, executionArn = :execution, receivedAt = if_not_exists(receivedAt, :now)"
                ", claimedAt = if_not_exists(claimedAt, :now)",
                "attribute_not_exists(id) OR"
                " (contentHash = :hash AND executionArn = :execution AND attribute_not_exists(abandonedAt)"
                " AND attribute_not_exists(outcomeId))",
                {":hash": ref.content_hash, ":execution": execution_arn, ":now": now_text()},
            )
        except ConditionFailed:
            recorded = self._table.get("request", ref.item_id)
            if "abandonedAt" in recorded:
                raise Conflict("was ended because it was not started in time: send the request with a new requestId") from None
            if "outcomeId" in recorded and recorded["contentHash"] == ref.content_hash:
                raise Conflict(f"has ended with {recorded['outcomeType']}: send the request with a new requestId") from None
            raise _already_used() from None

    def abandon(self, ref: RequestRef, execution_arn: str) -> bool:
        """Records that a request whose execution does not exist can no longer start. Returns False if it has started.

        `claim` and `abandon` are conditional writes to the same item, so exactly one of the two wins.
        """
        values = {":hash": ref.content_hash, ":execution": execution_arn, ":now": now_text()}
        values |= {":past": (datetime.now(UTC) - JUST_STARTED).isoformat(timespec="milliseconds")}
        condition = "contentHash = :hash AND executionArn = :execution"
        condition += " AND (attribute_not_exists(claimedAt) OR claimedAt < :past)"
        try:
            self._table.update("request", ref.item_id, "SET abandonedAt = if_not_exists(abandonedAt, :now)", condition, values)
        except ConditionFailed:
            return False
        return True

    def received(self, item_id: str) -> ReceivedRequest | None:
        """The request that an item records, or None if there is no such item."""
        item = self._table.get("request", item_id)
        if not item:
            return None
        tenant = item.get("tenant", DEFAULT_TENANT)
        request_id = item_id.removeprefix(f"{tenant}/")
        return ReceivedRequest(RequestRef(request_id, item["contentHash"], tenant), item.get("eventId"), "outcomeId" in item)

    def record_outcome(self, ref: RequestRef, outcome_id: str, detail_type: str, detail: str) -> tuple[str, str]:
        """Records the outcome of a request unless it has one. Returns the detail type and the detail that are recorded.

        Executions that an earlier version started can share an id. The second outcome of such an id is recorded under an id
        that includes the hash.
        """
        values = {":hash": ref.content_hash, ":id": outcome_id, ":type": detail_type, ":detail": detail, ":now": now_text()}
        update = "SET contentHash = :hash, outcomeId = :id, outcomeType = :type, outcome = :detail, endedAt = :now"
        update += " REMOVE waitingSince, waitingUntil"
        first = "attribute_not_exists(outcomeId) AND (attribute_not_exists(contentHash) OR contentHash = :hash)"
        for item_id in _item_ids(ref):
            try:
                self._table.update("request", item_id, update, first, values)
                return detail_type, detail
            except ConditionFailed:
                recorded = self._table.get("request", item_id)
                if recorded["contentHash"] == ref.content_hash:
                    return recorded["outcomeType"], recorded["outcome"]
        raise Conflict("two requests share an id and the first characters of their content hash")

    def outcome(self, ref: RequestRef) -> tuple[str, dict[str, Any]] | None:
        """The detail type and the detail of the outcome that is recorded for this request with this content, or None."""
        items: Iterator[dict[str, Any]] = (self._table.get("request", item_id) for item_id in _item_ids(ref))
        own = (item for item in items if "outcomeId" in item and item["contentHash"] == ref.content_hash)
        return next(((item["outcomeType"], json.loads(item["outcome"])) for item in own), None)

    def has_outcome(self, ref: RequestRef) -> bool:
        """Whether an outcome is recorded for this request with this content."""
        return self.recorded_outcome(ref) is not None

    def recorded_outcome(self, ref: RequestRef) -> str | None:
        """The detail type of the outcome that is recorded for this request with this content, or None."""
        items: Iterator[dict[str, Any]] = (self._table.get("request", item_id) for item_id in _item_ids(ref))
        own = (item for item in items if "outcomeId" in item and item["contentHash"] == ref.content_hash)
        return next((item.get("outcomeType", "") for item in own), None)

    def unanswered(self, before: datetime) -> Iterator[Unanswered]:
        """The requests that were received before `before` and have no outcome, whether or not they were ever started."""
        for item in self._table.query("request", without="outcomeId"):
            if datetime.fromisoformat(item["receivedAt"]) < before:
                yield Unanswered(item["executionArn"], item["id"])


def _already_used() -> Conflict:
    return Conflict("was already used for a different request: send the request with a new requestId")


def _item_ids(ref: RequestRef) -> tuple[str, str]:
    """The ids under which an outcome can be recorded. The second one is used only for requests of an earlier version."""
    return ref.item_id, f"{ref.item_id}/{ref.content_hash[:16]}"
