"""Everything that tests create or change in an account, as the API shows it."""

import json
from typing import Any

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.workflow.policy_forms import in_order

State = dict[str, Any]


def read_state(aws: Embedded) -> State:
    """Returns the state of every service by a name for its part."""
    parts = {
        "keys": _keys(aws),
        "aliases": _pages(aws, "kms", "list_aliases", "Aliases"),
        "secrets": _secrets(aws),
        "roles": _roles(aws),
        "items": [_pages(aws, "dynamodb", "scan", "Items", TableName=name) for name in _tables(aws)],
        "messages": _messages(aws),
        "rules": [_pages(aws, "events", "list_rules", "Rules", EventBusName=bus) for bus in ("default", "latchkey-requests")],
        "executions": _executions(aws),
        "logs": _pages(aws, "logs", "describe_log_groups", "logGroups"),
        "source locations": _pages(aws, "mediatailor", "list_source_locations", "Items"),
        "origin endpoints": _pages(aws, "mediapackage", "list_origin_endpoints", "OriginEndpoints"),
        "packaging groups": _pages(aws, "mediapackage-vod", "list_packaging_groups", "PackagingGroups"),
        "channel groups": _pages(aws, "mediapackagev2", "list_channel_groups", "Items"),
        "flows": _pages(aws, "mediaconnect", "list_flows", "Flows"),
        "controls": {path: aws.control("GET", path) for path in ("faults", "assumptions", "origin")},
    }
    return {name: json.loads(json.dumps(part, default=str)) for name, part in parts.items()}


def _pages(aws: Embedded, service: str, operation: str, member: str, **request: Any) -> list[Any]:
    pages = aws.client(service).get_paginator(operation).paginate(**request)
    return [item for page in pages for item in page.get(member, [])]


def _keys(aws: Embedded) -> list[Any]:
    kms = aws.client("kms")
    return [
        {
            "key": kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"],
            "policy": in_order(json.loads(kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"])),
            "tags": kms.list_resource_tags(KeyId=key["KeyId"])["Tags"],
            "grants": _pages(aws, "kms", "list_grants", "Grants", KeyId=key["KeyId"]),
        }
        for key in _pages(aws, "kms", "list_keys", "Keys")
    ]


def _secrets(aws: Embedded) -> list[Any]:
    client = aws.client("secretsmanager")
    listed = _pages(aws, "secretsmanager", "list_secrets", "SecretList")
    policies = {one["ARN"]: client.get_resource_policy(SecretId=one["ARN"]).get("ResourcePolicy", "null") for one in listed}
    return [[secret, in_order(json.loads(policies[secret["ARN"]]))] for secret in listed]


def _roles(aws: Embedded) -> list[Any]:
    return [
        [role, _pages(aws, "iam", "list_role_policies", "PolicyNames", RoleName=role["RoleName"])]
        for role in _pages(aws, "iam", "list_roles", "Roles")
    ]


def _tables(aws: Embedded) -> list[str]:
    """The registry, without the audit records, which follow each of its changes a moment later."""
    names: list[str] = _pages(aws, "dynamodb", "list_tables", "TableNames")
    return [name for name in names if "AuditTable" not in name]


def _messages(aws: Embedded) -> dict[str, str]:
    sqs, name = aws.client("sqs"), "ApproximateNumberOfMessages"
    urls = sqs.list_queues()["QueueUrls"]
    return {url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name] for url in urls}


def _executions(aws: Embedded) -> list[Any]:
    machines = aws.client("stepfunctions").list_state_machines()["stateMachines"]
    arns = [machine["stateMachineArn"] for machine in machines]
    return [_pages(aws, "stepfunctions", "list_executions", "executions", stateMachineArn=arn) for arn in arns]


TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}],
    }
)

# What every request changes, whether it is rejected or not: its own item, its execution, and what it logs.
_OF_REQUESTS = ("messages", "executions", "logs", "controls")
# A request that ended leaves these in the item of its access until the next one locks it.
_UNTIL_NEXT = ("pending", "pendingTenant", "updatedAt")


def read_without_requests(aws: Embedded) -> State:
    """Returns the state without what every request changes. Items of the registry are sorted by kind and ID."""
    state = {part: value for part, value in read_state(aws).items() if part not in _OF_REQUESTS}
    items = [item for table in state["items"] for item in table if item["kind"]["S"] not in ("request", "lease")]
    kept = [{name: value for name, value in item.items() if name not in _UNTIL_NEXT} for item in items]
    state["items"] = sorted(kept, key=lambda item: (item["kind"]["S"], item["id"]["S"]))
    return state
