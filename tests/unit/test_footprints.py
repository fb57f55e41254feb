"""Which AWS calls of two requests commute."""

from typing import Any

import pytest

from tests.workflow.footprints import Footprint, Footprints, TracedCall

KEY = "arn:aws:kms:us-east-1:000000000000:key/one"
OTHER_KEY = "arn:aws:kms:us-east-1:000000000000:key/two"
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:latchkey/news/token-AbCdEf"
OTHER_SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:latchkey/sports/token-AbCdEf"


def call(service: str, operation: str, path: str = "/", **parameters: Any) -> TracedCall:
    return TracedCall("request", "role", service, operation, path, parameters, status=200)


def item(operation: str, kind: str, name: str) -> TracedCall:
    named = {"Item" if operation == "PutItem" else "Key": {"kind": {"S": kind}, "id": {"S": name}}}
    return TracedCall("request", "role", "dynamodb", operation, "/", {"TableName": "table"} | named, status=200)


def query(kind: str, beginning: str = "") -> TracedCall:
    values = {":kind": {"S": kind}} | ({":beginning": {"S": beginning}} if beginning else {})
    return call("dynamodb", "Query", TableName="table", ExpressionAttributeValues=values)


def kms(operation: str, key: str = KEY, **parameters: Any) -> TracedCall:
    return call("kms", operation, KeyId=key, **parameters)


def secret(operation: str, arn: str = SECRET, **parameters: Any) -> TracedCall:
    return call("secretsmanager", operation, SecretId=arn, **parameters)


def location(operation: str, name: str = "news", arn: str | None = None) -> TracedCall:
    access = {"SecretsManagerAccessTokenConfiguration": {"SecretArn": arn}} if arn else {}
    return call("mediatailor", operation, f"/sourceLocation/{name}", **({"AccessConfiguration": access} if access else {}))


CREATED = call("secretsmanager", "CreateSecret", Name="latchkey/news/token", KmsKeyId=KEY)
OTHER_CREATED = call("secretsmanager", "CreateSecret", Name="latchkey/sports/token", KmsKeyId=OTHER_KEY)
ALIAS = call("kms", "CreateAlias", AliasName="alias/news", TargetKeyId=KEY)
ALERTS = call("mediatailor", "ListAlerts", "/alerts", resourceArn="arn:aws:mediatailor:us-east-1:0:sourceLocation/news")


def commute(one: TracedCall, other: TracedCall, *context: TracedCall) -> bool:
    footprints = Footprints((one, other, *context))
    found = footprints.of(one).commutes_with(footprints.of(other))
    assert footprints.of(other).commutes_with(footprints.of(one)) is found
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (item("GetItem", "access", "a"), item("GetItem", "access", "a")),
        (item("UpdateItem", "access", "a"), item("GetItem", "access", "b")),
        (item("UpdateItem", "access", "a"), item("PutItem", "request", "a")),
        (item("PutItem", "lease", "alias x"), query("lease", "alias y")),
        (item("PutItem", "access", "a"), query("lease")),
        (kms("DescribeKey"), kms("GetKeyPolicy")),
        (kms("PutKeyPolicy"), kms("PutKeyPolicy", OTHER_KEY)),
        (kms("CreateGrant"), kms("DescribeKey")),
        (call("kms", "CreateKey"), kms("PutKeyPolicy")),
        (ALIAS, call("kms", "CreateAlias", AliasName="alias/sports", TargetKeyId=OTHER_KEY)),
        (secret("DescribeSecret"), secret("GetResourcePolicy")),
        (secret("PutResourcePolicy"), secret("PutResourcePolicy", OTHER_SECRET)),
        (CREATED, OTHER_CREATED),
        (CREATED, kms("PutKeyPolicy", OTHER_KEY)),
        (location("UpdateSourceLocation"), location("UpdateSourceLocation", "sports")),
        (location("DescribeSourceLocation"), location("DescribeSourceLocation")),
        (location("CreateSourceLocation", arn=SECRET), secret("PutResourcePolicy", OTHER_SECRET)),
        (location("CreateSourceLocation", arn=SECRET), kms("ListGrants", OTHER_KEY)),
        (call("iam", "GetRole", RoleName="a"), call("iam", "SimulatePrincipalPolicy")),
        (call("iam", "CreateRole", RoleName="a"), call("iam", "GetRole", RoleName="b")),
        (call("events", "PutEvents"), call("events", "PutEvents")),
        (call("stepfunctions", "StartExecution", name="a"), call("stepfunctions", "StartExecution", name="b")),
        (call("stepfunctions", "StartExecution", name="a"), call("stepfunctions", "DescribeExecution")),
        (call("ssm", "GetParameter", Name="a"), call("ssm", "GetParameter", Name="a")),
    ],
)
def test_calls_commute_if_neither_writes_what_the_other_uses(one: TracedCall, other: TracedCall) -> None:
    assert commute(one, other, CREATED, OTHER_CREATED)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (item("UpdateItem", "access", "a"), item("GetItem", "access", "a")),
        (item("DeleteItem", "lease", "alias x"), query("lease", "alias")),
        (item("PutItem", "lease", "alias x"), query("lease")),
        (item("PutItem", "lease", "alias x"), call("dynamodb", "Scan", TableName="table")),
        (kms("PutKeyPolicy"), kms("DescribeKey")),
        (kms("PutKeyPolicy"), kms("CreateGrant")),
        (kms("PutKeyPolicy"), kms("EnableKeyRotation")),
        (kms("TagResource"), kms("GetKeyPolicy")),
        (kms("RevokeGrant"), kms("ListGrants")),
        (kms("ScheduleKeyDeletion"), kms("DescribeKey", "alias/news")),
        (kms("ScheduleKeyDeletion"), kms("DescribeKey", "alias/unknown")),
        (kms("DescribeKey", "one"), kms("PutKeyPolicy")),
        (ALIAS, kms("DescribeKey", "alias/news")),
        (ALIAS, kms("DescribeKey")),
        (ALIAS, kms("ListAliases")),
        (ALIAS, call("kms", "ListAliases")),
        (call("kms", "DeleteAlias", AliasName="alias/news"), kms("GetKeyPolicy")),
        (call("kms", "CreateKey"), call("kms", "ListKeys")),
        (CREATED, kms("PutKeyPolicy")),
        (CREATED, call("secretsmanager", "ListSecrets")),
        (CREATED, secret("DescribeSecret")),
        (secret("PutResourcePolicy"), secret("GetResourcePolicy")),
        (secret("DeleteSecret"), secret("GetResourcePolicy")),
        (secret("GetSecretValue"), kms("PutKeyPolicy")),
        (secret("UpdateSecret", KmsKeyId=OTHER_KEY), kms("DisableKey", OTHER_KEY)),
        (location("UpdateSourceLocation"), location("DescribeSourceLocation")),
        (location("CreateSourceLocation"), call("mediatailor", "ListSourceLocations", "/sourceLocations")),
        (location("CreateSourceLocation", arn=SECRET), secret("PutResourcePolicy")),
        (location("CreateSourceLocation", arn=SECRET), kms("ListGrants")),
        (location("DeleteSourceLocation"), kms("ListGrants")),
        (ALERTS, secret("PutResourcePolicy")),
        (ALERTS, location("DeleteSourceLocation")),
        (call("iam", "PutRolePolicy", RoleName="a"), call("iam", "GetRole", RoleName="a")),
        (call("iam", "PutRolePolicy", RoleName="a"), call("iam", "SimulatePrincipalPolicy")),
        (call("sqs", "SendMessage"), item("GetItem", "access", "a")),
        (call("kms", "GenerateRandom"), kms("DescribeKey")),
        (call("secretsmanager", "GetRandomPassword"), secret("DescribeSecret")),
        (call("mediatailor", "ListChannels", "/channels"), location("DescribeSourceLocation")),
        (call("dynamodb", "TransactWriteItems"), item("GetItem", "access", "a")),
        (call("ssm", "PutParameter", Name="a"), call("ssm", "GetParameter", Name="a")),
        (call("stepfunctions", "StopExecution"), item("GetItem", "access", "a")),
        (call("iam", "CreatePolicy"), call("iam", "GetRole", RoleName="a")),
    ],
)
def test_calls_do_not_commute_if_one_writes_what_the_other_uses(one: TracedCall, other: TracedCall) -> None:
    assert not commute(one, other, CREATED, ALIAS, location("UpdateSourceLocation", arn=SECRET))


def test_a_refused_call_changes_nothing() -> None:
    refused = TracedCall(**vars(item("UpdateItem", "access", "a")) | {"status": 400})

    assert commute(refused, item("GetItem", "access", "a"))
    assert not commute(refused, item("UpdateItem", "access", "a"))


def test_an_injected_failure_decides_whether_a_call_has_an_effect() -> None:
    update = item("UpdateItem", "access", "a")
    before, after = (TracedCall(**vars(update) | {"failed": when, "status": 400}) for when in ("before", "after"))

    assert Footprints([before]).of(before) == Footprint()
    assert not commute(after, item("GetItem", "access", "a"))
