"""The audit table: the records of each access in a chain, and the head of the chain. Nothing changes or deletes a record."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from latchkey.access.audit_record import EMPTY, ChainedRecord, ChainHead
from latchkey.aws.errors import aws_errors, code_of, translate
from latchkey.aws.pages import read_pages
from latchkey.errors import TransientAwsError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_HEAD = "head"
# BatchGetItem reads at most 100 items: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
_MOST_READ = 100


class HeadMoved(Exception):
    """Another execution has appended to the chain since its head was read. `appended` are the sources that have a record."""

    def __init__(self, appended: frozenset[str]) -> None:
        super().__init__()
        self.appended = appended


class AuditRecords:
    """Appends to chains and reads them. One item for each record, keyed by its source, and one for the head of each chain."""

    def __init__(self, dynamodb: DynamoDBClient, name: str) -> None:
        self._dynamodb = dynamodb
        self._name = name

    def heads(self, access_ids: Collection[str]) -> dict[str, ChainHead]:
        """The heads of the chains that exist. Raises TransientAwsError if DynamoDB reads only some of them."""
        found: dict[str, ChainHead] = {}
        for some in batched(sorted(access_ids), _MOST_READ, strict=False):
            request: Any = {self._name: {"Keys": [_key(access_id, _HEAD) for access_id in some], "ConsistentRead": True}}
            with aws_errors():
                answer: Any = self._dynamodb.batch_get_item(RequestItems=request)
            if answer.get("UnprocessedKeys"):
                raise TransientAwsError("DynamoDB did not read the heads of all chains")
            found |= {item["accessId"]["S"]: _head(item) for item in answer["Responses"].get(self._name, [])}
        return found

    def append(self, access_id: str, head: ChainHead, records: Sequence[ChainedRecord]) -> None:
        """Appends records to a chain and moves its head, all or nothing.

        Raises HeadMoved if the head is another one or if a record has been appended, and TransientAwsError if another
        transaction writes the chain at the same time.
        """
        last = records[-1]
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        if head != EMPTY:
            values = {":number": {"N": str(head.number)}, ":hash": {"S": head.hash}}
            condition = {"ConditionExpression": "#number = :number AND #hash = :hash", "ExpressionAttributeValues": values}
            condition |= {"ExpressionAttributeNames": {"#number": "number", "#hash": "hash"}}
        moved: dict[str, Any] = {
            "Put": {"TableName": self._name, "Item": _item(access_id, _HEAD, last.number, last.hash)} | condition
        }
        puts: list[dict[str, Any]] = [
            {
                "Put": {
                    "TableName": self._name,
                    "Item": _item(access_id, one.source, one.number, one.hash) | {"record": {"S": one.text}},
                    "ConditionExpression": "attribute_not_exists(id)",
                }
            }
            for one in records
        ]
        items: Any = [moved, *puts]
        try:
            self._dynamodb.transact_write_items(TransactItems=items)
        except (ClientError, BotoCoreError) as error:
            appended = _failed_conditions(error, [_HEAD, *(one.source for one in records)])
            raise HeadMoved(appended - {_HEAD}) from None

    def accesses(self) -> list[str]:
        """The IDs of the accesses that have a chain."""
        pages = read_pages(
            self._dynamodb.scan,
            TableName=self._name,
            ConsistentRead=True,
            FilterExpression="id = :head",
            ExpressionAttributeValues={":head": {"S": _HEAD}},
            ProjectionExpression="accessId",
        )
        with aws_errors():
            return sorted(item["accessId"]["S"] for page in pages for item in page["Items"])

    def chain(self, access_id: str) -> tuple[ChainHead | None, list[ChainedRecord]]:
        """The head of a chain, or None if there is none, and its records by number. Read as it is: nothing is verified."""
        pages = read_pages(
            self._dynamodb.query,
            TableName=self._name,
            ConsistentRead=True,
            KeyConditionExpression="accessId = :access",
            ExpressionAttributeValues={":access": {"S": access_id}},
        )
        with aws_errors():
            items = [item for page in pages for item in page["Items"]]
        heads = [_head(item) for item in items if item["id"]["S"] == _HEAD]
        records = [_record(item) for item in items if item["id"]["S"] != _HEAD]
        return (heads[0] if heads else None), sorted(records, key=lambda one: (one.number, one.source))


def _failed_conditions(error: ClientError | BotoCoreError, names: Sequence[str]) -> frozenset[str]:
    """The items of a cancelled transaction whose conditions failed.

    Raises TransientAwsError if another transaction wrote the chain at the same time, and other errors as `translate` does.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    if not isinstance(error, ClientError) or code_of(error) != "TransactionCanceledException":
        raise translate(error) from None
    reasons: Any = error.response.get("CancellationReasons", [])
    codes = [reason.get("Code", "None") for reason in reasons]
    failed = frozenset(name for name, code in zip(names, codes, strict=False) if code == "ConditionalCheckFailed")
    if not failed:
        raise TransientAwsError(f"DynamoDB canceled the transaction: {', '.join(sorted({*codes} - {'None'}))}") from None
    return failed


def _key(access_id: str, item_id: str) -> dict[str, Any]:
    return {"accessId": {"S": access_id}, "id": {"S": item_id}}


def _item(access_id: str, item_id: str, number: int, text: str) -> dict[str, Any]:
    return _key(access_id, item_id) | {"number": {"N": str(number)}, "hash": {"S": text}}


def _head(item: Mapping[str, Any]) -> ChainHead:
    return ChainHead(int(item["number"]["N"]), item["hash"]["S"])


def _record(item: Mapping[str, Any]) -> ChainedRecord:
    return ChainedRecord(item["id"]["S"], int(item["number"]["N"]), item["hash"]["S"], item["record"]["S"])
