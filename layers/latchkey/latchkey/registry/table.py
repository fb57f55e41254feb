"""The DynamoDB table of the registry: items by `kind` and `id`, conditional writes, and leases that expire."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from latchkey.aws.errors import aws_errors, code_of
from latchkey.aws.pages import read_pages
from latchkey.errors import LatchkeyError, NotYetEffective

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

# Longer than the timeout of every function that acquires a lease, so that a lease never expires while its holder runs.
LEASE_SECONDS = 180
LEASE_WAIT_SECONDS = 10
_serialize, _deserialize = TypeSerializer().serialize, TypeDeserializer().deserialize


class ConditionFailed(Exception):
    """The item does not satisfy the condition of a write. Callers convert this into a LatchkeyError or ignore it."""


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
        with _conditions():
            answer = self._dynamodb.update_item(
                TableName=self._name,
                Key=_item({"kind": kind, "id": item_id}),
                UpdateExpression=update,
                ExpressionAttributeValues=_item(values),
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
    def lease(self, name: str) -> Iterator[None]:
        """Holds the lease `name` while the body of the `with` statement runs. After a crash, the lease expires.

        Raises NotYetEffective, which the state machine retries, if another holder keeps the lease for LEASE_WAIT_SECONDS.
        """
        holder, deadline = uuid.uuid4().hex, time.monotonic() + LEASE_WAIT_SECONDS
        try:
            while not self._take(name, holder):
                if time.monotonic() > deadline:
                    raise NotYetEffective(f"another request holds the lease on the {name}")
                time.sleep(secrets.randbelow(400) / 1000 + 0.1)
            yield
        finally:
            # The lease is released even if `_take` failed, since the response of a successful write can be lost.
            with suppress(ConditionFailed, LatchkeyError):
                self.delete("lease", name, "holder = :holder", {":holder": holder})

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
