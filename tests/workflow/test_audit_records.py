"""Each decision and change of a request has its audit record, and the roles of the stack cannot rewrite one."""

import json
from typing import Any

from botocore.exceptions import ClientError

from tests.workflow.audit_records import await_action, exported, records, table_of
from tests.workflow.onboarding import Onboarding
from tests.workflow.roles import Role, roles_of


def access_of(detail: dict[str, Any]) -> str:
    return f"mediatailor/sourceLocation/{detail['resource']['sourceLocation']}"


def test_an_onboarding_and_its_clean_up_are_one_whole_chain(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    access_id = access_of(detail)
    chain = await_action(onboarding.aws, access_id, "outcome-recorded")
    actions = [record["action"] for record in chain]

    assert actions[:2] == ["chain-begun", "request-accepted"]
    assert {record["requestId"] for record in chain[1:]} == {detail["requestId"]}
    assert {"change-intended", "change-made", "access-recorded"} <= {*actions}
    made = [record["subject"] for record in chain if record["action"] == "change-made"]
    intended = [record["subject"] for record in chain if record["action"] == "change-intended"]
    assert {*made} <= {*intended}
    assert actions.count("outcome-recorded") == 1

    onboarding.mediatailor.delete_source_location(SourceLocationName=detail["resource"]["sourceLocation"])

    [event] = [one for one in await_action(onboarding.aws, access_id, "event-recorded") if one["action"] == "event-recorded"]
    assert event["cloudTrailEventId"]
    assert event["principal"]["cloudTrailPrincipal"]
    answer = exported(onboarding.aws)
    assert answer["problems"] == []
    assert answer["records"] >= len(chain) + 1


def test_a_rollback_is_in_the_chain_with_what_failed(fast_onboarding: Onboarding) -> None:
    onboarding, detail = fast_onboarding, fast_onboarding.detail()
    fault = {
        "service": "mediatailor",
        "operation": "CreateSourceLocation",
        "error": "ConflictException",
        "status": 409,
        "times": 9,
    }
    onboarding.aws.control("POST", "faults", fault)
    onboarding.send(detail)

    chain = await_action(onboarding.aws, access_of(detail), "outcome-recorded")

    assert chain[-1]["after"]["outcomeType"] == "Request Failed"
    assert "change-rolled-back" in [record["action"] for record in chain]


def test_a_record_that_was_changed_in_the_table_is_found(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)
    access_id = access_of(detail)
    await_action(onboarding.aws, access_id, "outcome-recorded")
    [key] = [record["source"] for record in records(onboarding.aws, access_id) if record["number"] == 3]
    client, table = onboarding.aws.client("dynamodb"), table_of(onboarding.aws)
    item_key: Any = {"accessId": {"S": access_id}, "id": {"S": key}}
    text = client.get_item(TableName=table, Key=item_key)["Item"]["record"]["S"]
    changed = json.dumps(json.loads(text) | {"at": "2020-01-01T00:00:00+00:00"})
    values = {":text": {"S": changed}}
    client.update_item(TableName=table, Key=item_key, UpdateExpression="SET #record = :text", ExpressionAttributeValues=values,
                       ExpressionAttributeNames={"#record": "record"})  # fmt: skip

    assert {(one["accessId"], one["number"]) for one in exported(onboarding.aws, verify=True)["problems"]} == {(access_id, 3)}


WRITES: dict[str, Any] = {
    "put_item": lambda client, table, key: client.put_item(TableName=table, Item=key | {"number": {"N": "9"}}),
    "update_item": lambda client, table, key: client.update_item(
        TableName=table, Key=key, UpdateExpression="SET a = :a", ExpressionAttributeValues={":a": {"N": "9"}}
    ),
    "delete_item": lambda client, table, key: client.delete_item(TableName=table, Key=key),
    "batch_write_item": lambda client, table, key: client.batch_write_item(
        RequestItems={table: [{"DeleteRequest": {"Key": key}}]}
    ),
    "transact_write_items": lambda client, table, key: client.transact_write_items(
        TransactItems=[{"Delete": {"TableName": table, "Key": key}}]
    ),
    "delete_table": lambda client, table, key: client.delete_table(TableName=table),
}


def can(role: Role, write: str, table: str) -> bool:
    key = {"accessId": {"S": "mediatailor/sourceLocation/tried"}, "id": {"S": "tried"}}
    try:
        WRITES[write](role.client("dynamodb"), table, key)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if "AccessDenied" not in code:
            raise
        return False
    return True


def test_one_role_adds_records_and_none_changes_or_deletes_them(onboarding: Onboarding) -> None:
    table, roles = table_of(onboarding.aws), roles_of(onboarding.aws)

    assert {(name, write) for name, role in roles.items() for write in WRITES if can(role, write, table)} == {
        ("append_audit_records", "put_item")
    }
