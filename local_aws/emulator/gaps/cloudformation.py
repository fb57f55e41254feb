"""CloudFormation: resource types that MiniStack does not support, and tables that are protected against deletion."""

from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import dynamodb, eventbridge
from ministack.services.cloudformation import provisioners

from local_aws.emulator.gaps.patching import Around, wrap_item


def apply() -> None:
    provisioners._RESOURCE_HANDLERS["AWS::Events::EventBusPolicy"] = {
        "create": _create_bus_policy,
        "update": _update_bus_policy,
        "delete": _delete_bus_policy,
    }
    wrap_item(provisioners._RESOURCE_HANDLERS["AWS::DynamoDB::Table"], "delete", _delete_table)


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
