"""The audit records of a deployed stack."""

import json
from typing import Any

from local_aws.tools.embedded_aws import Embedded, until


def table_of(aws: Embedded) -> str:
    """The name of the audit table."""
    name: str
    [name] = [name for name in aws.client("dynamodb").list_tables()["TableNames"] if "AuditTable" in name]
    return name


def records(aws: Embedded, access_id: str) -> list[dict[str, Any]]:
    """The members of the records of an access, in their order."""
    pages = (
        aws.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=table_of(aws),
            KeyConditionExpression="accessId = :one",
            ExpressionAttributeValues={":one": {"S": access_id}},
        )
    )
    found = [json.loads(item["record"]["S"]) for page in pages for item in page["Items"] if "record" in item]
    return sorted(found, key=lambda record: int(record["number"]))


def await_action(aws: Embedded, access_id: str, action: str, count: int = 1) -> list[dict[str, Any]]:
    """Waits until a chain has `count` records of an action, and returns the chain."""
    until(
        lambda: [record["action"] for record in records(aws, access_id)].count(action) >= count, f"{action} of {access_id}", 60
    )
    return records(aws, access_id)


def exported(aws: Embedded, **event: Any) -> dict[str, Any]:
    """Invokes export_audit, and returns its answer."""
    client = aws.client("lambda")
    pages = client.get_paginator("list_functions").paginate()
    [name] = [one["FunctionName"] for page in pages for one in page["Functions"] if "ExportAudit" in one["FunctionName"]]
    payload = json.dumps({"accessId": None} | event)
    answer: dict[str, Any] = json.loads(client.invoke(FunctionName=name, Payload=payload)["Payload"].read())
    return answer
