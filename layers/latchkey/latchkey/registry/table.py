"""The registry's table: items by `kind` and `id`, every write on a condition, leases that end."""

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
from latchkey.errors import LatchkeyError, NotYetEffective

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

# Longer than the timeout of any function that holds one, so that a lease never ends under a living holder.
LEASE_SECONDS = 180
LEASE_WAIT_SECONDS = 10
_serialize, _deserialize = TypeSerializer().serialize, TypeDeserializer().deserialize


class ConditionFailed(Exception):
    """The item is not as the condition wants it; every caller turns this into what it means there."""


class Table:
    """One DynamoDB table, whose reads are consistent."""

    def __init__(self, dynamodb: DynamoDBClient, name: str) -> None:
        self._dynamodb = dynamodb
        self._name = name

    def get(self, kind: str, item_id: str) -> dict[str, Any]:
        """The item, or an empty one."""
        key = _item({"kind": kind, "id": item_id})
        with _conditions():
            return _plain(self._dynamodb.get_item(TableName=self._name, Key=key, ConsistentRead=True).get("Item", {}))

    def query(self, kind: str, beginning: str = "", *, without: str = "") -> Iterator[dict[str, Any]]:
        """Every item of a kind whose id begins so; only those `without` an attribute, if one is named."""
        condition, values = "kind = :kind", {":kind": kind}
        if beginning:
            condition, values = f"{condition} AND begins_with(id, :beginning)", values | {":beginning": beginning}
        filtered: Any = {"FilterExpression": f"attribute_not_exists({without})"} if without else {}
        pages = self._dynamodb.get_paginator("query").paginate(
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
        """Makes or changes an item and gives what it is now; raises ConditionFailed."""
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
        """Deletes an item, if there is one; raises ConditionFailed."""
        conditional: Any = {"ConditionExpression": condition} if condition else {}
        conditional |= {"ExpressionAttributeValues": _item(values)} if values else {}
        with _conditions():
            self._dynamodb.delete_item(TableName=self._name, Key=_item({"kind": kind, "id": item_id}), **conditional)

    @contextmanager
    def lease(self, name: str) -> Iterator[None]:
        """Holds `name` alone while the body runs; a crash frees it by time.

        Raises NotYetEffective if another holds it for longer than a short wait: the state machine asks again.
        """
        holder, deadline = uuid.uuid4().hex, time.monotonic() + LEASE_WAIT_SECONDS
        try:
            while not self._take(name, holder):
                if time.monotonic() > deadline:
                    raise NotYetEffective(f"another request is working on {name}")
                time.sleep(secrets.randbelow(400) / 1000 + 0.1)
            yield
        finally:
            # Also if it was refused: the answer that it was taken may have been lost. What cannot be given back ends by time.
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
    """The table itself never settles, so its errors are ours before a caller may wait for something else to settle."""
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
    """The time as items hold it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
