"""What each function does and returns for its sample events in events/functions, on the embedded AWS."""

import json
from collections.abc import Callable
from typing import Any

from local_aws.tools.embedded_aws import Embedded, until
from local_aws.tools.outcomes import Outcomes
from local_aws.tools.sample_accesses import KEYS
from tests.sam_local.invoking import FOLDER, Answer


def sample(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def grants(aws: Embedded, name: str) -> list[str]:
    listed = aws.client("kms").list_grants(KeyId=KEYS[name])["Grants"]
    return [grant["GrantId"] for grant in listed]


def executions(aws: Embedded, machine: str) -> list[Answer]:
    """Returns the inputs of the executions of a state machine."""
    client = aws.client("stepfunctions")
    [arn] = [m["stateMachineArn"] for m in client.list_state_machines()["stateMachines"] if f"-{machine}" in m["name"]]
    found = client.list_executions(stateMachineArn=arn)["executions"]
    return [json.loads(client.describe_execution(executionArn=one["executionArn"])["input"]) for one in found]


def record(aws: Embedded, kind: str, item_id: str) -> Answer:
    [table] = [name for name in aws.client("dynamodb").list_tables()["TableNames"] if "AccessTable" in name]
    item: Answer = aws.client("dynamodb").get_item(TableName=table, Key={"kind": {"S": kind}, "id": {"S": item_id}})["Item"]
    return item


def items(aws: Embedded, kind: str) -> list[Answer]:
    """Returns all items of a kind in the registry."""
    client = aws.client("dynamodb")
    [table] = [name for name in client.list_tables()["TableNames"] if "AccessTable" in name]
    pages = client.get_paginator("query").paginate(
        TableName=table, KeyConditionExpression="kind = :kind", ExpressionAttributeValues={":kind": {"S": kind}}
    )
    return [item for page in pages for item in page["Items"]]


def receive_request(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    event = outcomes.wait_for(answer["requestId"], 120)
    assert event["detail-type"] == "Access Onboarded"
    assert aws.client("mediatailor").describe_source_location(SourceLocationName="sports-origin")["Arn"]


def check_request(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    execution = sample("check_request")
    assert record(aws, "request", execution["requestId"])["contentHash"]["S"] == execution["contentHash"]
    assert record(aws, "access", execution["accessId"])["running"]["S"] == execution["executionArn"]


def plan_access(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert answer["status"] == "planned"
    assert "secretsmanager:CreateSecret" in {call["operation"] for call in answer["calls"]}
    assert answer["permissions"] == []


def append_audit_records(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    """The changes of the sample are not in the registry, so their chain has only them."""
    client = aws.client("dynamodb")
    [table] = [name for name in client.list_tables()["TableNames"] if "AuditTable" in name]
    access = sample("append_audit_records")["Records"][0]["dynamodb"]["NewImage"]["accessId"]
    chain = client.query(TableName=table, KeyConditionExpression="accessId = :one", ExpressionAttributeValues={":one": access})[
        "Items"
    ]
    assert answer == {"appended": 2}
    assert sorted(int(item["number"]["N"]) for item in chain) == [1, 2, 3, 3]  # the head has the number of the last record


def discover_resources(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    [bucket] = [one["Name"] for one in aws.client("s3").list_buckets()["Buckets"] if "databucket" in one["Name"].lower()]
    result = answer["result"]
    lines = aws.client("s3").get_object(Bucket=bucket, Key=result["results"]["key"])["Body"].read().splitlines()
    assert len(lines) == result["found"]
    assert result["unread"] == []


def export_audit(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    [bucket] = [one["Name"] for one in aws.client("s3").list_buckets()["Buckets"] if "databucket" in one["Name"].lower()]
    lines = aws.client("s3").get_object(Bucket=bucket, Key=answer["key"])["Body"].read().splitlines()
    assert answer["problems"] == []
    assert len(lines) == answer["records"] > 0


def create_key(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    kms, key_id = aws.client("kms"), answer["arn"]
    assert answer["changed"]
    assert [alias["AliasName"] for alias in kms.list_aliases(KeyId=key_id)["Aliases"]] == ["alias/latchkey/film"]
    tags = {tag["TagKey"]: tag["TagValue"] for tag in kms.list_resource_tags(KeyId=key_id)["Tags"]}
    assert tags.items() >= {"latchkey:managed-by": "latchkey", "latchkey:request": sample("check_request")["requestId"]}.items()
    assert kms.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"]


def create_secret(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    secret = aws.client("secretsmanager").describe_secret(SecretId="latchkey/mediatailor/song-origin/token")
    assert answer == {"arn": secret["ARN"], "changed": True, "settlesFrom": None, "created": None}
    assert secret["KmsKeyId"] == sample("create_secret")["key"]["arn"]


def attach_policies(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    policy = json.loads(aws.client("secretsmanager").get_resource_policy(SecretId=answer["arn"])["ResourcePolicy"])
    assert {"Service": "mediatailor.amazonaws.com"} in [statement["Principal"] for statement in policy["Statement"]]


def configure_access(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    location = aws.client("mediatailor").describe_source_location(SourceLocationName="news-origin")
    assert location["Arn"] == answer["arn"]
    token = location["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]
    assert token["SecretArn"] == sample("configure_access")["secretArn"]
    assert grants(aws, "news-origin")


def validate_access(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert {check["name"]: check["passed"] for check in answer["checks"]}.items() >= {"grant is there": True}.items()
    assert all(check["passed"] for check in answer["checks"])


def record_access(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    item = record(aws, "access", answer["accessId"])
    assert (item["status"]["S"], item["keyArn"]["S"]) == ("active", sample("record_access")["resources"]["keyArn"])


def leave_key(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert answer == {"removed": [], "left": [], "evidence": []}


def report_outcome(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    event = outcomes.wait_for(sample("report_outcome")["requestId"])
    assert event["detail"]["outcomeId"] == answer["outcomeId"]


def undo_onboarding(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert aws.client("kms").describe_key(KeyId=KEYS["lost-origin"])["KeyMetadata"]["KeyState"] == "PendingDeletion"
    names = [
        secret["Name"]
        for page in aws.client("secretsmanager").get_paginator("list_secrets").paginate()
        for secret in page["SecretList"]
    ]
    assert "latchkey/mediatailor/lost-origin/token" not in names
    assert len(answer["undone"]) == 2


def read_execution(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    execution = aws.client("stepfunctions").describe_execution(executionArn=sample("read_execution")["executionArn"])
    assert execution["status"] == "FAILED"
    assert (answer["answered"], answer["requestId"]) == (False, json.loads(execution["input"])["requestId"])


def clean_up_grants(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert [removed["removedBy"] for removed in answer["removed"]] == ["latchkey"]
    assert grants(aws, "gone-origin") == []


def observe_access(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert (answer["accessId"], answer["status"]) == (sample("observe_access")["accessId"], "active")
    assert aws.client("mediatailor").describe_source_location(SourceLocationName="live-origin")["Arn"]


def report_clean_up(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    access_id = sample("report_clean_up")["accessId"]
    # The sweep also publishes an event for this access, without removed grants.
    until(
        lambda: [
            event
            for event in outcomes.all()
            if event["detail-type"] == "Grants Cleaned Up" and event["detail"]["accessId"] == access_id
            if [removed["removedBy"] for removed in event["detail"]["removed"]] == ["latchkey"]
        ],
        "the event",
    )
    kept = [item for item in items(aws, "notice") if item["accessId"]["S"] == access_id]
    assert {item["outcomeType"]["S"] for item in kept if "publishedAt" in item} >= {"Grants Cleaned Up"}


def identify_accesses(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    events = {json.loads(message["body"])["detail"]["eventID"] for message in sample("identify_accesses")["Records"]}
    started = {(item["accessId"], item["hint"]["eventId"]) for item in executions(aws, "CleanUp") if item.get("hint")}
    assert answer == {"batchItemFailures": []}
    assert {("mediatailor/sourceLocation/live-origin", event) for event in events} <= started


def list_grants(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    listed = {grant["grantId"] for grant in answer["grants"]}
    assert set(grants(aws, "live-origin")) <= listed
    assert answer["unreadable"] == []


def guard_prefixes(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert answer == {"Status": "SUCCESS", "Reason": "", "PhysicalResourceId": sample("guard_prefixes")["LogicalResourceId"]}


def _labels(aws: Embedded, name: str) -> dict[str, str]:
    """Returns the version of a secret with each label."""
    stages = aws.client("secretsmanager").describe_secret(SecretId=f"latchkey/mediatailor/{name}/token")["VersionIdsToStages"]
    return {label: version for version, labels in stages.items() for label in labels}


def check_rotation(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    item = record(aws, "access", sample("check_rotation")["accessId"])
    assert (item["phase"]["S"], answer["waits"]) == ("rotating", True)
    assert answer["former"] == _labels(aws, "turn-origin")["AWSCURRENT"]


def promote_token(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    plan = sample("promote_token")["plan"]
    assert answer == {"version": plan["version"], "changed": True}
    labels = _labels(aws, "spin-origin")
    assert (labels["AWSCURRENT"], labels["AWSPREVIOUS"]) == (plan["version"], plan["former"])


def apply_token(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert answer == {"accesses": []}


def withdraw_token(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert answer == {"changed": True}
    assert _labels(aws, "roll-origin") == {"AWSCURRENT": sample("withdraw_token")["plan"]["former"]}


def record_rotation(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    item = record(aws, "access", sample("record_rotation")["plan"]["accessId"])
    assert answer["detailType"] == "Token Pending"
    assert json.loads(item["phaseFacts"]["S"])["isPending"] is True


def sweep_grants(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    until(lambda: grants(aws, "swept-origin") == [], "the orphaned grant is gone", 60)


def take_inventory(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    [bucket] = [found["Name"] for found in aws.client("s3").list_buckets()["Buckets"] if "databucket" in found["Name"]]
    listed = aws.client("s3").get_object(Bucket=bucket, Key=answer["key"])["Body"].read().splitlines()
    assert [json.loads(line)["accessId"] for line in listed] == [sample("take_inventory")["asked"]["accessId"]]


def reconcile_access(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert answer["unread"] == []
    assert record(aws, "finding", sample("reconcile_access")["items"][0]["accessId"])["due"]["S"] == "[]"


def decide_repairs(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert (answer["repairs"], answer["storm"]) == (0, False)


def check_offboarding(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert record(aws, "access", sample("check_offboarding")["accessId"])["phase"]["S"] == "offboarding"


def detach_resource(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    location = aws.client("mediatailor").describe_source_location(SourceLocationName="idle-origin")
    assert answer["reads"] is False
    assert not location.get("AccessConfiguration"), "MediaTailor can return an empty configuration"


def remove_policies(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    policy = json.loads(aws.client("kms").get_key_policy(KeyId=KEYS["dark-origin"], PolicyName="default")["Policy"])
    assert {one["Sid"] for one in policy["Statement"]} == {"EnableIAMUserPermissions", "LatchkeyCreation"}


def delete_secret(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    [deleted] = answer["deleted"]
    assert aws.client("secretsmanager").describe_secret(SecretId=deleted)["DeletedDate"]


def record_offboarding(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert record(aws, "access", sample("record_offboarding")["asked"]["accessId"])["status"]["S"] == "offboarded"
    assert [one["at"] for one in answer["result"]["scheduled"]]


def delete_key(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert (answer["keyArn"], answer["state"]) == (None, "due")


def restore_access(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert "DeletedDate" not in aws.client("secretsmanager").describe_secret(SecretId=answer["secretArn"])


def resume_request(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    resumed = aws.client("stepfunctions").describe_execution(executionArn=answer["executionArn"])
    assert json.loads(resumed["input"])["resumes"] == sample("resume_request")["executionArn"]


def _stored(aws: Embedded, key: str) -> list[Answer]:
    """Returns the lines of an object in the data bucket."""
    s3 = aws.client("s3")
    [bucket] = [one["Name"] for one in s3.list_buckets()["Buckets"] if "databucket" in one["Name"]]
    return [json.loads(line) for line in s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode().splitlines()]


def check_manifest(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    stored = _stored(aws, answer["requests"]["key"])
    assert [line["content"]["accessId"].rpartition("/")[2] for line in stored] == ["bulk-one", "bulk-two"]


def onboard_line(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert answer == {"result": None, "waitSeconds": 0}
    event = outcomes.wait_for(sample("onboard_line")["content"]["requestId"], 120)
    assert event["detail-type"] == "Access Onboarded"


def complete_bulk(aws: Embedded, outcomes: Outcomes, answer: Answer) -> None:
    assert answer["result"]["outcomes"] == {"Access Onboarded": 1}
    assert [line["requestId"] for line in _stored(aws, "bulk/sample/results.jsonl")] == ["sample"]


EFFECTS: dict[str, Callable[[Embedded, Outcomes, Answer], None]] = {
    effect.__name__: effect
    for effect in (
        attach_policies, check_offboarding, check_request, clean_up_grants, configure_access, create_key, create_secret,
        delete_key, delete_secret, detach_resource, guard_prefixes, identify_accesses, leave_key, list_grants, observe_access,
        plan_access, read_execution, receive_request, record_access, record_offboarding, remove_policies, report_clean_up,
        report_outcome, restore_access, resume_request, sweep_grants, undo_onboarding, validate_access,
        decide_repairs, reconcile_access, take_inventory,
        append_audit_records, discover_resources, export_audit,
        check_manifest, complete_bulk, onboard_line,
        apply_token, check_rotation, promote_token, record_rotation, withdraw_token,
    )
}  # fmt: skip

# The class of the error that a rejected sample raises, and a part of its message.
RAISED = {
    "apply_token": ("InvalidRequest", "plan.updates"),
    "check_manifest": ("InvalidRequest", "does not exist"),
    "complete_bulk": ("InvalidRequest", "manifest.lines"),
    "onboard_line": ("InvalidRequest", "line"),
    "check_rotation": ("InvalidRequest", "is not a recorded access"),
    "promote_token": ("InvalidRequest", "plan.version"),
    "record_rotation": ("InvalidRequest", "reached"),
    "withdraw_token": ("InvalidRequest", "plan.version"),
    "attach_policies": ("Conflict", "was deleted after the request was checked"),
    "check_offboarding": ("InvalidRequest", "is not a recorded access"),
    "check_request": ("InvalidRequest", "managementRoles"),
    "clean_up_grants": ("InvalidRequest", "keys"),
    "configure_access": ("InvalidRequest", "resource.header"),
    "create_key": ("InvalidRequest", "key.alias"),
    "create_secret": ("InvalidRequest", "secret.value.generate.length"),
    "delete_key": ("InvalidRequest", "executionArn"),
    "delete_secret": ("InvalidRequest", "asked.recoveryDays"),
    "detach_resource": ("InvalidRequest", "asked.recoveryDays"),
    "guard_prefixes": ("InvalidRequest", "ResponseURL"),
    "leave_key": ("InvalidRequest", "accessIds"),
    "plan_access": ("InvalidRequest", "planHash"),
    "read_execution": ("Conflict", "no request is recorded"),
    "record_access": ("InvalidRequest", "status"),
    "record_offboarding": ("InvalidRequest", "asked.recoveryDays"),
    "remove_policies": ("InvalidRequest", "asked.recoveryDays"),
    "report_clean_up": ("InvalidRequest", "accessId"),
    "report_outcome": ("InvalidRequest", "detailType"),
    "restore_access": ("Conflict", "this request has ended"),
    "resume_request": ("Conflict", "cannot be continued"),
    "decide_repairs": ("InvalidRequest", "inventory.accesses"),
    "reconcile_access": ("InvalidRequest", "items.0.accessId"),
    "sweep_grants": ("InvalidRequest", '"id"'),
    "take_inventory": ("InvalidRequest", "system"),
    "validate_access": ("AccessNotEffective", "does not exist"),
}
# A part of the regular response to a sample that names an absent resource.
ANSWERED = {
    "identify_accesses": '{"batchItemFailures": [{"itemIdentifier": "404f1679-9604-54e9-a940-c4d14714b09d"}]}',
    "list_grants": '{"grants": [], "counts": {}, "unreadable": []}',
    "observe_access": '"status": null',
    "undo_onboarding": '{"undone": [], "left": []}',
}
