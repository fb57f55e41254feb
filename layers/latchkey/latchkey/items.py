"""Items of the registry's table: read consistently, written on conditions, with errors that are ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from latchkey.aws import aws_errors, code_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_serialize, _deserialize = TypeSerializer().serialize, TypeDeserializer().deserialize


class Items:
    """Items are addressed by `kind` (request, access, resource, lease) and `id`."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def _get(self, kind: str, item_id: str) -> dict[str, Any]:
        key = _item({"kind": kind, "id": item_id})
        with _conditions():
            item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item", {})
        return {name: _deserialize(value) for name, value in item.items()}

    def _put(self, item: Mapping[str, Any], condition: str, values: Mapping[str, Any]) -> None:
        with _conditions():
            self._dynamodb.put_item(
                TableName=self._table,
                Item=_item(item),
                ConditionExpression=condition,
                ExpressionAttributeValues=_item(values),
            )

    def _update(
        self,
        kind: str,
        item_id: str,
        update: str,
        condition: str | None,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> None:
        conditional: Any = {"ConditionExpression": condition} if condition else {}
        conditional |= {"ExpressionAttributeNames": names} if names else {}
        with _conditions():
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_item({"kind": kind, "id": item_id}),
                UpdateExpression=update,
                ExpressionAttributeValues=_item(values),
                **conditional,
            )

    def _delete(self, kind: str, item_id: str, condition: str | None = None, values: Mapping[str, Any] | None = None) -> None:
        conditional: Any = {"ConditionExpression": condition} if condition else {}
        conditional |= {"ExpressionAttributeValues": _item(values)} if values else {}
        with _conditions():
            self._dynamodb.delete_item(TableName=self._table, Key=_item({"kind": kind, "id": item_id}), **conditional)


class ConditionFailed(Exception):
    """The item is not as the condition wants it; every caller turns this into what it means there."""


@contextmanager
def _conditions() -> Iterator[None]:
    """The registry itself never settles, so its errors are ours before a caller may wait for something else to settle."""
    with aws_errors():
        try:
            yield
        except ClientError as error:
            if code_of(error) == "ConditionalCheckFailedException":
                raise ConditionFailed from None
            raise


def _item(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _serialize(value) for name, value in values.items()}
