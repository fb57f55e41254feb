"""CloudFormation: resource types that MiniStack does not support, and tables that are protected against deletion."""

import hashlib
import json
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import dynamodb, eventbridge
from ministack.services.cloudformation import provisioners

from local_aws.emulator.gaps.patching import Around, wrap, wrap_item

_SUFFIX = 13  # characters of a generated name that do not depend on what is named


def apply() -> None:
    provisioners._RESOURCE_HANDLERS["AWS::Events::EventBusPolicy"] = {
        "create": _create_bus_policy,
        "update": _update_bus_policy,
        "delete": _delete_bus_policy,
    }
    provisioners._RESOURCE_HANDLERS["AWS::Events::Archive"] = {
        "create": _create_archive,
        "update": _update_archive,
        "delete": _delete_archive,
    }
    wrap_item(provisioners._RESOURCE_HANDLERS["AWS::DynamoDB::Table"], "delete", _delete_table)
    wrap(provisioners, "_physical_name", _physical_name)


def _physical_name(original: Around, *args: Any, lowercase: bool = False, **options: Any) -> str:
    """Gap: stacks of one name in two Regions name their roles alike, so the second stack replaces the roles of the first.

    On AWS, the names end with random characters.
    """
    name = str(original(*args, lowercase=lowercase, **options))
    unique = hashlib.sha256(f"{name} {get_account_id()} {get_region()}".encode()).hexdigest()[:_SUFFIX]
    return name[:-_SUFFIX] + (unique if lowercase else unique.upper())


def _delete_table(original: Around, physical_id: str, *args: Any) -> Any:
    """Gap: a stack deletes tables that are protected against deletion."""
    if (dynamodb._tables.get(physical_id) or {}).get("DeletionProtectionEnabled"):
        raise ValueError("Table is protected against deletion. To delete the table, disable deletion protection.")
    return original(physical_id, *args)


def _create_bus_policy(logical_id: str, props: dict[str, Any], stack_name: str) -> tuple[str, dict[str, str]]:
    """Gap: a stack with AWS::Events::EventBusPolicy fails."""
    bus, statement_id = props.get("EventBusName", "default"), props["StatementId"]
    arn = f"arn:aws:events:{get_region()}:{get_account_id()}:event-bus/{bus}"
    statement = props.get("Statement") or {
        "Effect": "Allow",
        "Principal": props.get("Principal", "*"),
        "Action": props.get("Action", "events:PutEvents"),
        "Resource": arn,
        **({"Condition": props["Condition"]} if props.get("Condition") else {}),
    }
    _delete_bus_policy(statement_id, props)
    document = eventbridge._event_bus_policies.setdefault(bus, {"Version": "2012-10-17", "Statement": []})
    document["Statement"].append({"Sid": statement_id, **statement})
    return f"{bus}|{statement_id}", {}


def _update_bus_policy(
    physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str
) -> tuple[str, dict[str, str]]:
    _delete_bus_policy(physical_id, old)
    return _create_bus_policy(physical_id, new, stack_name)


def _delete_bus_policy(physical_id: str, props: dict[str, Any]) -> None:
    document = eventbridge._event_bus_policies.get(props.get("EventBusName", "default"))
    if document:
        document["Statement"] = [each for each in document["Statement"] if each.get("Sid") != props["StatementId"]]


def _create_archive(logical_id: str, props: dict[str, Any], stack_name: str) -> tuple[str, dict[str, str]]:
    """Gap: a stack with AWS::Events::Archive fails."""
    name = props.get("ArchiveName") or f"{stack_name}-{logical_id}"[:48]
    return name, {"Arn": _answer(eventbridge._create_archive(_archive(props, name)))["ArchiveArn"]}


def _update_archive(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str) -> tuple[str, dict[str, str]]:
    return physical_id, {"Arn": _answer(eventbridge._update_archive(_archive(new, physical_id)))["ArchiveArn"]}


def _delete_archive(physical_id: str, props: dict[str, Any]) -> None:
    eventbridge._delete_archive({"ArchiveName": physical_id})


def _archive(props: dict[str, Any], name: str) -> dict[str, Any]:
    """The members of a call that creates or updates an archive."""
    members = {"EventSourceArn": props["SourceArn"], "RetentionDays": int(props.get("RetentionDays", 0))}
    return {"ArchiveName": name, "EventPattern": json.dumps(props["EventPattern"])} | members


def _answer(response: Any) -> Any:
    status, _, body = response
    if status != 200:
        raise ValueError(body.decode())
    return json.loads(body)
