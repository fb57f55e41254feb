"""The DynamoDB table of the registry: items by `kind` and `id`, conditional writes, and leases that expire."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from latchkey.aws.errors import aws_errors, code_of
from latchkey.aws.pages import read_pages
from latchkey.errors import LatchkeyError, NotYetEffective, TransientAwsError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

# Longer than the timeout of every function that acquires a lease, so that a lease never expires while its holder runs.
LEASE_SECONDS = 180
LEASE_WAIT_SECONDS = 20
# A holder stops writing this long before its lease expires, to allow for the duration of a call and for clock differences.
LEASE_MARGIN_SECONDS = 20
# The longest pause between two polls of a lease. A request at the head of the queue that does not poll for longer has crashed.
LONGEST_PAUSE_SECONDS = 2
_serialize, _deserialize = TypeSerializer().serialize, TypeDeserializer().deserialize


class ConditionFailed(Exception):
    """The item does not satisfy the condition of a write. Callers convert this into a LatchkeyError or ignore it."""


@dataclass(frozen=True)
class Lease:
    """A lease that is held until `expires_at`, in seconds since the epoch."""

    name: str
    expires_at: float

    def require(self) -> None:
        """Raises TransientAwsError if the lease has expired or is about to expire, because another holder can then write."""
        if time.time() > self.expires_at - LEASE_MARGIN_SECONDS:
            raise TransientAwsError(f"the lease on the {self.name} expired before the write")


class Table:
    """One DynamoDB table with strongly consistent reads."""

    def __init__(self, dynamodb: DynamoDBClient, name: str) -> None:
        self._dynamodb = dynamodb
        self._name = name

    def get(self, kind: str, item_id: str) -> dict[str, Any]:
        """The item, or an empty dict."""
        key = _item({"kind": kind, "id": item_id})
        with _conditions():
            return _plain(self._dynamodb.get_item(TableName=self._name, Key=key, ConsistentRead=True).get("Item", {}))

    def query(self, kind: str, beginning: str = "", *, without: str = "") -> Iterator[dict[str, Any]]:
        """All items of a kind whose id begins with `beginning` and that do not have the attribute `without`."""
        condition, values = "kind = :kind", {":kind": kind}
        if beginning:
            condition, values = f"{condition} AND begins_with(id, :beginning)", values | {":beginning": beginning}
        filtered: Any = {"FilterExpression": f"attribute_not_exists({without})"} if without else {}
        pages = read_pages(
            self._dynamodb.query,
            TableName=self._name,
            ConsistentRead=True,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=_item(values),
            **filtered,
        )
        with _conditions():
            items = [_plain(item) for page in pages for item in page["Items"]]
        yield from items

    def update(
        self,
        kind: str,
        item_id: str,
        update: str,
        condition: str | None,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Creates or changes an item and returns its new attributes. Raises ConditionFailed."""
        conditional: Any = {"ConditionExpression": condition} if condition else {}
        conditional |= {"ExpressionAttributeNames": names} if names else {}
        conditional |= {"ExpressionAttributeValues": _item(values)} if values else {}
        with _conditions():
            answer = self._dynamodb.update_item(
                TableName=self._name,
                Key=_item({"kind": kind, "id": item_id}),
                UpdateExpression=update,
                ReturnValues="ALL_NEW",
                **conditional,
            )
        return _plain(answer["Attributes"])

    def delete(self, kind: str, item_id: str, condition: str | None = None, values: Mapping[str, Any] | None = None) -> None:
        """Deletes an item if it exists. Raises ConditionFailed."""
        conditional: Any = {"ConditionExpression": condition} if condition else {}
        conditional |= {"ExpressionAttributeValues": _item(values)} if values else {}
        with _conditions():
            self._dynamodb.delete_item(TableName=self._name, Key=_item({"kind": kind, "id": item_id}), **conditional)

    @contextmanager
    def lease(self, name: str, done: Callable[[], bool] = lambda: False) -> Iterator[Lease | None]:
        """Holds the lease `name` while the body of the `with` statement runs. After a crash, the lease expires.

        Waiting requests take the lease in the order of their arrival. If `done` returns true during the wait, another holder
        did the work: the value is None, and no lease is held. Raises NotYetEffective, which the state machine retries, if
        others hold the lease for LEASE_WAIT_SECONDS.
        """
        holder = uuid.uuid4().hex
        try:
            yield self._taken(name, holder) or self._queued(name, holder, done)
        finally:
            # The lease is released even if `_take` failed, since the response of a successful write can be lost.
            with suppress(ConditionFailed, LatchkeyError):
                self.delete("lease", name, "holder = :holder", {":holder": holder})

    def _taken(self, name: str, holder: str) -> Lease | None:
        # The time before the call, so that the lease never expires later for this process than for others.
        now = time.time()
        return Lease(name, now + LEASE_SECONDS) if self._take(name, holder) else None

    def _queued(self, name: str, holder: str, done: Callable[[], bool]) -> Lease | None:
        """The lease after a wait in the queue, or None if the work was done in the meantime.

        A ticket is an item next to the lease. Only the first one in the queue takes the lease when it is free. If it does not,
        for example after a crash, the others remove its ticket. The further back a ticket is, the less often its request polls.
        """
        began = time.time()
        queue = f"{name} queue "
        ticket = f"{queue}{int(began * 1000):015d} {holder}"
        deadline = began + LEASE_WAIT_SECONDS
        idle: str | None = None
        idle_since = began
        self._put_ticket(ticket, holder, int(deadline) + 2)
        try:
            while True:
                items = [item for item in self.query("lease", name) if item["id"] == name or item["id"].startswith(queue)]
                is_free = not any(item["id"] == name and item["expiresAt"] >= int(time.time()) for item in items)
                tickets = sorted(i["id"] for i in items if i["id"] != name and i["expiresAt"] >= int(time.time()))
                position = tickets.index(ticket) if ticket in tickets else 0
                if is_free and position == 0 and (lease := self._taken(name, holder)):
                    return lease
                now, head = time.time(), tickets[0] if is_free and position else None
                if head != idle:
                    idle, idle_since = head, now
                if idle and now > idle_since + LONGEST_PAUSE_SECONDS + 0.5:
                    self._delete_ticket(idle)
                if done():
                    return None
                if now > deadline:
                    raise NotYetEffective(f"another request holds the lease on the {name}")
                pause = 0.1 + 0.1 * position + secrets.randbelow(100) / 1000
                time.sleep(min(pause, LONGEST_PAUSE_SECONDS))
        finally:
            self._delete_ticket(ticket)

    def _put_ticket(self, ticket: str, holder: str, expires_at: int) -> None:
        with _conditions():
            item = {"kind": "lease", "id": ticket, "holder": holder, "expiresAt": expires_at}
            self._dynamodb.put_item(TableName=self._name, Item=_item(item))

    def _delete_ticket(self, ticket: str) -> None:
        with suppress(ConditionFailed, LatchkeyError):
            self.delete("lease", ticket)

    def _take(self, name: str, holder: str) -> bool:
        now = int(time.time())
        item = {"kind": "lease", "id": name, "holder": holder, "expiresAt": now + LEASE_SECONDS}
        condition = "attribute_not_exists(id) OR expiresAt < :now OR holder = :holder"
        try:
            with _conditions():
                self._dynamodb.put_item(
                    TableName=self._name,
                    Item=_item(item),
                    ConditionExpression=condition,
                    ExpressionAttributeValues=_item({":now": now, ":holder": holder}),
                )
        except ConditionFailed:
            return False
        return True


@contextmanager
def _conditions() -> Iterator[None]:
    """Converts errors of DynamoDB, so that `settling` around the caller does not mistake them for errors of another service."""
    with aws_errors():
        try:
            yield
        except ClientError as error:
            if code_of(error) == "ConditionalCheckFailedException":
                raise ConditionFailed from None
            raise


def _item(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _serialize(value) for name, value in values.items()}


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _deserialize(value) for name, value in item.items()}


def now_text() -> str:
    """The current time as items store it: ISO 8601 in UTC, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
