"""A token is in Secrets Manager and in the memory of one function, and is written nowhere else."""

import json
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded, until
from tests.unit.samples import TOKEN, TOKEN_PLACES
from tests.workflow.audit_records import exported
from tests.workflow.consumer_resources import CONSUMERS
from tests.workflow.onboarding import MEMBER, Onboarding


def _catch_all(aws: Embedded, bus: str) -> str:
    """Creates a queue that receives every event of a bus and returns its URL."""
    sqs, events, name = aws.client("sqs"), aws.client("events"), f"all-{bus}"
    url: str = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement | {"Resource": arn}]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps({"account": [ACCOUNT]}))
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return url


def _buses(onboarding: Onboarding) -> dict[str, str]:
    """Returns the queue of each bus."""
    return {bus: _catch_all(onboarding.aws, bus) for bus in ("default", "latchkey-requests")}


def _messages(aws: Embedded, url: str) -> Iterator[str]:
    sqs = aws.client("sqs")
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            yield message["Body"]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def _logs(aws: Embedded) -> Iterator[str]:
    logs = aws.client("logs")
    for group in (g for page in logs.get_paginator("describe_log_groups").paginate() for g in page["logGroups"]):
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        yield from (event["message"] for page in pages for event in page["events"])


def _histories(aws: Embedded) -> Iterator[Any]:
    stepfunctions = aws.client("stepfunctions")
    for machine in stepfunctions.list_state_machines()["stateMachines"]:
        pages = stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=machine["stateMachineArn"])
        for execution in (e for page in pages for e in page["executions"]):
            arn = execution["executionArn"]
            yield stepfunctions.describe_execution(executionArn=arn)
            yield stepfunctions.get_execution_history(executionArn=arn, maxResults=1000)["events"]


def _stack_output(aws: Embedded, name: str) -> str:
    outputs = aws.client("cloudformation").describe_stacks(StackName="latchkey")["Stacks"][0]["Outputs"]
    value: str = next(output["OutputValue"] for output in outputs if output["OutputKey"] == name)
    return value


def _exported_audit(aws: Embedded) -> str:
    """The lines of an export of all audit records."""
    answer = exported(aws)
    assert answer["records"], "the canary must reach the audit records"
    bucket = _stack_output(aws, "DataBucketName")
    text: str = aws.client("s3").get_object(Bucket=bucket, Key=answer["key"])["Body"].read().decode()
    return text


def _written(onboarding: Onboarding) -> dict[str, str]:
    """Returns everything that is stored outside the values of secrets, as text by its location."""
    aws = onboarding.aws
    table = aws.client("dynamodb").get_paginator("scan").paginate(TableName=_stack_output(aws, "AccessTableName"))
    audit = aws.client("dynamodb").get_paginator("scan").paginate(TableName=_stack_output(aws, "AuditTableName"))
    queues = aws.client("sqs").list_queues().get("QueueUrls", [])
    kms, secretsmanager = onboarding.kms, onboarding.secretsmanager
    keys = [key["KeyId"] for page in kms.get_paginator("list_keys").paginate() for key in page["Keys"]]
    described = [secret for page in secretsmanager.get_paginator("list_secrets").paginate() for secret in page["SecretList"]]
    return {
        "logs": "\n".join(_logs(aws)),
        "histories": json.dumps([*_histories(aws)], default=str),
        "registry": json.dumps([page["Items"] for page in table], default=str),
        "audit records": json.dumps([page["Items"] for page in audit], default=str),
        "export of audit records": _exported_audit(aws),
        "queues": "\n".join(body for url in queues for body in _messages(aws, url)),
        "outcomes": json.dumps(onboarding.outcomes.all()),
        "tags of keys": json.dumps([kms.list_resource_tags(KeyId=key) for key in keys], default=str),
        "secrets without values": json.dumps(described, default=str),
        "everything": json.dumps(onboarding.account_snapshot(), default=str),
        "output of the embedded AWS": aws.log(),
        "requests at the origin": json.dumps(aws.control("GET", "origin")),
        "calls": json.dumps(aws.control("GET", "calls")),
    }


def test_token_is_written_only_to_its_secret(onboarding: Onboarding) -> None:
    events = _buses(onboarding)
    imported, adopted, refused = (secrets.token_urlsafe(30) for _ in range(3))
    source = onboarding.new_secret(json.dumps({"theirs": imported}), consent="import")
    existing = onboarding.new_secret(json.dumps({MEMBER: adopted}))
    too_long = onboarding.new_secret(json.dumps({MEMBER: refused * 5}))

    generating = onboarding.detail()
    access = onboarding.onboard(generating)
    made = access["resources"]
    onboarding.offboard(access["accessId"])
    onboarding.restore(access["accessId"])
    importing = onboarding.detail(secret={"value": {"copyFrom": {"secretArn": source, "key": "theirs"}}})
    for request_id in ("plan-before", "plan-after"):
        assert onboarding.send(importing | {"requestId": request_id, "mode": "plan"})["detail-type"] == "Access Planned"
        onboarding.onboard(importing | {"requestId": f"{importing['requestId']}-{request_id}"})
    onboarding.onboard(onboarding.detail(secret={"value": {"existing": {"secretArn": existing}}}))
    onboarding.reject(onboarding.detail(secret={"value": {"existing": {"secretArn": too_long}}}))
    name = generating["resource"]["sourceLocation"]
    package = {"Path": "/film/index.m3u8", "SourceGroup": "hls", "Type": "HLS"}
    onboarding.mediatailor.create_vod_source(SourceLocationName=name, VodSourceName="film", HttpPackageConfigurations=[package])
    until(lambda: onboarding.aws.control("GET", "origin"), "the fetch")

    seen = {f"events on {bus}": "\n".join(_messages(onboarding.aws, url)) for bus, url in events.items()}
    written = _written(onboarding) | seen
    tokens = (onboarding.token(made["secretArn"]), imported, adopted, refused)
    assert [(place, len(token)) for place, text in written.items() for token in tokens if token in text] == []
    # The search covers the right locations: it finds the name of this request in them.
    traced = {"histories", "registry", "outcomes", "secrets without values", "everything", "events on latchkey-requests"}
    assert {place for place in traced if name not in written[place]} == set()
    assert "step succeeded" in written["logs"]


def _standing(onboarding: Onboarding, tokens: Iterable[str]) -> list[str]:
    """Returns the locations that contain any of the tokens. Events of senders are not searched."""
    events = [json.loads(body) for url in _buses(onboarding).values() for body in _messages(onboarding.aws, url)]
    written = _written(onboarding) | {"events": json.dumps([e for e in events if e["source"] != "latchkey.requests"])}
    return [place for place, text in written.items() if any(token in text for token in tokens)]


def test_token_in_a_request_is_written_nowhere_else(onboarding: Onboarding) -> None:
    _buses(onboarding)
    outcomes = []
    for place, detail in TOKEN_PLACES.items():
        own = {} if place == "as the request id" else {"requestId": secrets.token_hex(8)}
        event_id = onboarding.put(detail | own)
        outcomes.append(onboarding.outcomes.wait_for(own.get("requestId", event_id), 60))

    assert {outcome["detail-type"] for outcome in outcomes} == {"Request Rejected"}
    assert _standing(onboarding, [TOKEN]) == []


def test_token_of_every_system_is_written_only_to_its_secret(onboarding: Onboarding) -> None:
    _buses(onboarding)
    tokens = []
    for make in CONSUMERS.values():
        consumer = make(onboarding.aws)
        access = onboarding.onboard(consumer.detail)
        made = access["resources"]
        tokens.append(consumer.token(onboarding.secretsmanager.get_secret_value(SecretId=made["secretArn"])["SecretString"]))
        onboarding.offboard(access["accessId"])
        tokens.append(f"{secrets.token_hex(16)}-wrong")
        wrong = onboarding.new_secret(tokens[-1] * 8)
        onboarding.reject(consumer.detail | {"secret": {"value": {"existing": {"secretArn": wrong}}}})

    assert _standing(onboarding, tokens) == []


def test_tokens_of_a_rotation_are_written_only_to_their_secret(onboarding: Onboarding) -> None:
    _buses(onboarding)
    detail = onboarding.detail()
    made = onboarding.onboard(detail)
    access_id, secret_arn = made["accessId"], made["resources"]["secretArn"]
    tokens = [onboarding.token(secret_arn)]
    for kind, members in (("Rotation Requested", {"emergency": True}), ("Rotation Confirmed", {})):
        request_id = f"{kind.split()[1]}-{secrets.token_hex(4)}"
        onboarding.put({"requestId": request_id, "accessId": access_id, **members}, kind)
        onboarding.outcomes.wait_for(request_id, 60)
        for label in ("AWSCURRENT", "AWSPENDING"):
            value = onboarding.secretsmanager.get_secret_value(SecretId=secret_arn, VersionStage=label)["SecretString"]
            tokens.append(json.loads(value)[MEMBER])
    moved = {"alias": f"alias/latchkey/moved-{secrets.token_hex(4)}", "move": True}
    onboarding.onboard(detail | {"requestId": f"move-{secrets.token_hex(4)}", "key": moved})
    onboarding.offboard(access_id)
    onboarding.restore(access_id)

    assert len(set(tokens)) == 2
    assert _standing(onboarding, tokens) == []


def test_token_in_a_conflict_or_dead_letter_is_written_nowhere_else(onboarding: Onboarding) -> None:
    _buses(onboarding)
    first, token = onboarding.detail(), secrets.token_hex(20)
    onboarding.onboard(first)

    conflict = onboarding.put(first | {"secret": {"value": {"plaintext": token}}})
    assert onboarding.outcomes.wait_for(conflict)["detail-type"] == "Request Rejected"
    fault = {"service": "stepfunctions", "operation": "StartExecution", "error": "AccessDeniedException", "status": 403}
    onboarding.aws.control("POST", "faults", fault | {"times": 100})
    onboarding.put(onboarding.detail(secret={"value": {"plaintext": token}}))
    sqs, url = onboarding.aws.client("sqs"), _dead_letters(onboarding.aws)
    (letter,) = until(lambda: sqs.receive_message(QueueUrl=url).get("Messages"), "the dead letter", 60)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"])

    assert token in letter["Body"], "a request that cannot be delivered waits as it came"
    assert _standing(onboarding, [token]) == []


def _dead_letters(aws: Embedded) -> str:
    found = aws.client("cloudformation").describe_stack_resource(StackName="latchkey", LogicalResourceId="RequestDeadLetters")
    url: str = found["StackResourceDetail"]["PhysicalResourceId"]
    return url


# Calls that fail while a function has a token. If the call sends the token, the error message quotes it.
FAILING = [
    (operation, when) for operation in ("CreateSecret", "PutSecretValue", "UpdateSecret") for when in ("before", "after")
]
FAILING += [("GetSecretValue", "before"), ("CreateSourceLocation", "before")]


def test_token_in_a_failed_call_is_written_nowhere(onboarding: Onboarding) -> None:
    _buses(onboarding)
    tokens = []
    for operation, when in FAILING:
        former, token = (secrets.token_hex(20) for _ in range(2))
        tokens += [former, token]
        detail = _about_to_call(onboarding, operation, former, token)
        of_mediatailor = {"service": "mediatailor", "status": 409}  # a 400 can be a denial, which is retried
        here = of_mediatailor if "Location" in operation else {"service": "secretsmanager", "message": f"not {token}"}
        fault = here | {"operation": operation, "error": "ValidationException", "times": 100, "when": when}
        onboarding.aws.control("POST", "faults", fault)
        event = onboarding.send(detail)
        onboarding.aws.control("DELETE", "faults")
        assert event["detail-type"] == "Request Failed", (operation, when)
        assert f"{operation} failed with ValidationException" in event["detail"]["failure"]["message"]

    assert _standing(onboarding, tokens) == []


def _about_to_call(onboarding: Onboarding, operation: str, former: str, token: str) -> dict[str, Any]:
    """Returns a request that has a token and makes the given call."""
    if operation == "UpdateSecret":
        adopted = onboarding.new_secret(json.dumps({MEMBER: token}))
        return onboarding.detail(secret={"value": {"existing": {"secretArn": adopted}}})
    source = onboarding.new_secret(former if operation == "PutSecretValue" else token, consent="import")
    detail = onboarding.detail(secret={"value": {"copyFrom": {"secretArn": source}}})
    if operation == "PutSecretValue":
        onboarding.onboard(detail)
        onboarding.secretsmanager.put_secret_value(SecretId=source, SecretString=token)
    return detail | {"requestId": secrets.token_hex(8)}


def test_each_onboarding_generates_its_own_token(onboarding: Onboarding) -> None:
    first, second = (onboarding.onboard(onboarding.detail())["resources"]["secretArn"] for _ in range(2))

    assert onboarding.token(first) != onboarding.token(second)
