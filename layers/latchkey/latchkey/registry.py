"""The registry of what should be true: one DynamoDB table, every write on a condition, leases for read-merge-write."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from latchkey import aws
from latchkey.aws import code_of
from latchkey.errors import Conflict, TransientAwsError
from latchkey.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

# Longer than the timeout of any function that holds one, so that a lease never ends under a living holder.
LEASE_SECONDS = 180

_serialize, _deserialize = TypeSerializer().serialize, TypeDeserializer().deserialize


@dataclass(frozen=True)
class AccessRecord:
    """What the registry knows of one access; `version` rises by one with every write."""

    access_id: str
    system: str
    status: str
    request_id: str
    key_arn: str
    secret_arn: str
    resource_arn: str
    version: int = 0


class Registry:
    """Items are addressed by `kind` (request, access, resource, lease) and `id`."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def claim_request(self, request_id: str, content_hash: str, execution_arn: str) -> None:
        """Records the request before it changes anything; raises Conflict if its id stands for other content."""
        try:
            self._update(
                "request",
                request_id,
                "SET contentHash = :hash, executionArn = :execution, receivedAt = if_not_exists(receivedAt, :now)",
                "attribute_not_exists(id) OR (contentHash = :hash AND executionArn = :execution)",
                {":hash": content_hash, ":execution": execution_arn, ":now": _now()},
            )
        except _ConditionFailed:
            raise Conflict("this request id has been used for another request") from None

    def record_outcome(
        self, request_id: str, content_hash: str, outcome_id: str, detail_type: str, detail: str
    ) -> tuple[str, str]:
        """Records a request's one outcome and returns what is recorded: this one, or the one that was there before.

        A request whose id belongs to other content has its outcome under an id of its own.
        """
        values = {":hash": content_hash, ":id": outcome_id, ":type": detail_type, ":detail": detail, ":now": _now()}
        update = "SET contentHash = :hash, outcomeId = :id, outcomeType = :type, outcome = :detail, endedAt = :now"
        first = "attribute_not_exists(outcomeId) AND (attribute_not_exists(contentHash) OR contentHash = :hash)"
        for item_id in (request_id, f"{request_id}/{content_hash[:16]}"):
            try:
                self._update("request", item_id, update, first, values)
                return detail_type, detail
            except _ConditionFailed:
                recorded = self._get("request", item_id)
                if recorded["contentHash"] == content_hash:
                    return recorded["outcomeType"], recorded["outcome"]
        raise Conflict("two requests share an id and the beginning of their content hash")

    def access(self, access_id: str) -> AccessRecord | None:
        item = self._get("access", access_id)
        return _access(item) if item else None

    def save_access(self, record: AccessRecord) -> AccessRecord:
        """Writes an access over the version it was read with, and notes it at its key and secret.

        Raises TransientAwsError if somebody wrote it in between: read again and decide again.
        """
        saved = replace(record, version=record.version + 1)
        for arn in (saved.key_arn, saved.secret_arn):
            self._update("resource", arn, "ADD accesses :access", None, {":access": {saved.access_id}})
        item = {"kind": "access", "id": saved.access_id, "updatedAt": _now()} | _wire(saved)
        try:
            self._put(item, "attribute_not_exists(id) OR version = :version", {":version": record.version})
        except _ConditionFailed:
            raise TransientAwsError("the access was written by somebody else meanwhile") from None
        return saved

    def origin_hosts(self, secret_name: str) -> frozenset[str]:
        """The hosts to which the accesses of a secret send its token."""
        return frozenset(self._get("resource", f"secret {secret_name}").get("hosts", ()))

    def add_origin_host(self, secret_name: str, host: str) -> None:
        """Notes, before the secret is made or used, where its token goes; by name, since the ARN is not known then."""
        self._update("resource", f"secret {secret_name}", "ADD hosts :host", None, {":host": {host}})

    def key_noted_for(self, alias: str) -> str | None:
        """The ARN of the key that was made for an alias, whether or not the alias was made after it."""
        return self._get("resource", alias).get("keyArn")

    def note_key(self, alias: str, key_arn: str) -> None:
        """Notes a key at once when it is made: until it has its alias, nothing else finds it."""
        self._update("resource", alias, "SET keyArn = :arn", None, {":arn": key_arn})

    @contextmanager
    def lease(self, name: str) -> Iterator[None]:
        """Holds `name` alone while the body runs; raises TransientAwsError if another holds it. A crash frees it by time."""
        holder, now = uuid.uuid4().hex, int(time.time())
        item = {"kind": "lease", "id": name, "holder": holder, "expiresAt": now + LEASE_SECONDS}
        try:
            self._put(item, "attribute_not_exists(id) OR expiresAt < :now", {":now": now})
        except _ConditionFailed:
            raise TransientAwsError(f"another request is working on {name}") from None
        try:
            yield
        finally:
            self._release(name, holder)

    def _release(self, name: str, holder: str) -> None:
        try:
            self._dynamodb.delete_item(
                TableName=self._table,
                Key=_item({"kind": "lease", "id": name}),
                ConditionExpression="holder = :holder",
                ExpressionAttributeValues=_item({":holder": holder}),
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise

    def _get(self, kind: str, item_id: str) -> dict[str, Any]:
        key = _item({"kind": kind, "id": item_id})
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

    def _update(self, kind: str, item_id: str, update: str, condition: str | None, values: Mapping[str, Any]) -> None:
        conditional: Any = {"ConditionExpression": condition} if condition else {}
        with _conditions():
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_item({"kind": kind, "id": item_id}),
                UpdateExpression=update,
                ExpressionAttributeValues=_item(values),
                **conditional,
            )


@cache
def registry() -> Registry:
    """The registry of this stack."""
    return Registry(aws.dynamodb(), settings().access_table)


class _ConditionFailed(Exception):
    """The item is not as the condition wants it; every caller turns this into what it means there."""


@contextmanager
def _conditions() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if code_of(error) == "ConditionalCheckFailedException":
            raise _ConditionFailed from None
        raise


def _item(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _serialize(value) for name, value in values.items()}


def _access(item: Mapping[str, Any]) -> AccessRecord:
    return AccessRecord(
        access_id=item["id"],
        system=item["system"],
        status=item["status"],
        request_id=item["requestId"],
        key_arn=item["keyArn"],
        secret_arn=item["secretArn"],
        resource_arn=item["resourceArn"],
        version=int(item["version"]),
    )


def _wire(record: AccessRecord) -> dict[str, Any]:
    return {
        "system": record.system,
        "status": record.status,
        "requestId": record.request_id,
        "keyArn": record.key_arn,
        "secretArn": record.secret_arn,
        "resourceArn": record.resource_arn,
        "version": record.version,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
