"""IAM: permissions boundaries, condition keys and resource ARNs."""

import json
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.local_aws.gap_account import ROOT, Account, allow, deny, error_code, policy, trust
from tests.local_aws.role_reader import RoleReader, failure, identifier
from tests.local_aws.test_mediapackage import Target, authorization


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


def managed(account: Account, *statements: dict[str, Any]) -> str:
    made = account.client("iam").create_policy(PolicyName=account.unique("policy"), PolicyDocument=policy(*statements))
    return str(made["Policy"]["Arn"])


def test_permissions_boundary_in_a_template_applies(account: Account) -> None:
    boundary = managed(account, allow("kms:*"))
    name = account.unique("role")
    role = {
        "RoleName": name,
        "PermissionsBoundary": boundary,
        "AssumeRolePolicyDocument": json.loads(trust({"AWS": ROOT})),
        "Policies": [{"PolicyName": "own", "PolicyDocument": json.loads(policy(allow(["kms:*", "sqs:*"])))}],
    }
    account.deploy({"Role": {"Type": "AWS::IAM::Role", "Properties": role}})
    found = account.client("iam").get_role(RoleName=name)["Role"]
    assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    account.client_of(found["Arn"], "kms").list_keys()
    assert error_code(account.client_of(found["Arn"], "sqs").list_queues).startswith("AccessDenied")


def test_policy_can_require_a_boundary_for_new_roles(account: Account) -> None:
    boundary = managed(account, allow("kms:*"))
    demanding = allow("iam:CreateRole", StringEquals={"iam:PermissionsBoundary": boundary})
    iam = account.role(demanding).client("iam")
    request = {"RoleName": account.unique("role"), "AssumeRolePolicyDocument": trust({"AWS": ROOT})}
    assert error_code(iam.create_role, **request) == "AccessDenied"
    iam.create_role(**request, PermissionsBoundary=boundary)


def test_policy_can_depend_on_the_boundary_of_the_changed_role(account: Account) -> None:
    boundary = managed(account, allow("kms:*"))
    bounded, free = account.role(boundary=boundary), account.role()
    demanding = allow("iam:PutRolePolicy", StringEquals={"iam:PermissionsBoundary": boundary})
    iam = account.role(demanding).client("iam")
    request = {"PolicyName": "more", "PolicyDocument": policy(allow("kms:ListKeys"))}
    assert error_code(iam.put_role_policy, RoleName=free.name, **request) == "AccessDenied"
    iam.put_role_policy(RoleName=bounded.name, **request)


def test_boundary_can_depend_on_resource_tags(account: Account) -> None:
    key = account.key()
    boundary = managed(account, allow("kms:*"), deny("kms:DisableKey", Null={"aws:ResourceTag/keep": "false"}))
    kms = account.role(allow("kms:*"), boundary=boundary).client("kms")
    kms.disable_key(KeyId=key)
    account.client("kms").tag_resource(KeyId=key, Tags=[{"TagKey": "keep", "TagValue": "yes"}])
    assert error_code(kms.disable_key, KeyId=key) == "AccessDeniedException"


@pytest.mark.parametrize("operator", ["Bool", "BoolIfExists", "StringEquals"])
def test_via_aws_service_is_false_for_a_direct_call(account: Account, operator: str) -> None:
    arn = account.client("secretsmanager").create_secret(Name=account.unique("secret"), SecretString="a")["ARN"]
    directly = deny("secretsmanager:GetSecretValue", **{operator: {"aws:ViaAWSService": "false"}})
    reader = account.role(allow("secretsmanager:*"), directly).client("secretsmanager")
    assert error_code(reader.get_secret_value, SecretId=arn) == "AccessDeniedException"
    reader.describe_secret(SecretId=arn)


def test_principal_arn_of_a_session_is_its_role(account: Account) -> None:
    role = account.role(allow("kms:ListKeys", StringEquals={"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/x"}))
    assert error_code(role.client("kms").list_keys) == "AccessDeniedException"
    own = allow("kms:ListKeys", StringEquals={"aws:PrincipalArn": role.arn})
    account.client("iam").put_role_policy(RoleName=role.name, PolicyName="own", PolicyDocument=policy(own))
    role.client("kms").list_keys()


def test_event_bus_policy_is_evaluated_for_every_entry(account: Account) -> None:
    events, name, trusted = account.client("events"), account.unique("bus"), account.role(allow("events:PutEvents"))
    bus = events.create_event_bus(Name=name)["EventBusArn"]
    others = deny(
        "events:PutEvents",
        bus,
        **{"ForAnyValue:StringEquals": {"events:source": "latchkey"}},
        ArnNotEquals={"aws:PrincipalArn": trusted.arn},
    )
    document = {"EventBusName": name, "StatementId": "OnlyLatchkey", "Statement": others | {"Principal": "*"}}
    account.deploy({"Policy": {"Type": "AWS::Events::EventBusPolicy", "Properties": document}})
    assert json.loads(events.describe_event_bus(Name=name)["Policy"])["Statement"][0]["Sid"] == "OnlyLatchkey"
    entry = {"Source": "latchkey", "DetailType": "Access Onboarded", "Detail": "{}", "EventBusName": name}
    request = entry | {"Source": "latchkey.requests"}
    anyone = account.role(allow("events:PutEvents")).client("events")
    assert error_code(anyone.put_events, Entries=[request, entry]).startswith("AccessDenied")
    assert anyone.put_events(Entries=[request])["FailedEntryCount"] == 0
    assert trusted.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_the_sources_of_a_request_are_several_values_of_one_condition_key(account: Account) -> None:
    """The service authorization reference calls events:source an ArrayOfString."""
    name = account.unique("bus")
    bus = account.client("events").create_event_bus(Name=name)["EventBusArn"]
    own = {"events:source": "latchkey.requests.sports"}
    conditions = {"ForAllValues:StringEquals": own, "Null": {"events:source": "false"}}
    sender = account.role(allow("events:PutEvents", bus, **conditions)).client("events")
    single = account.role(allow("events:PutEvents", bus, StringEquals=own)).client("events")
    entry = {"Source": "latchkey.requests.sports", "DetailType": "any", "Detail": "{}", "EventBusName": name}
    other = entry | {"Source": "latchkey.requests.news"}
    assert sender.put_events(Entries=[entry, entry])["FailedEntryCount"] == 0
    assert error_code(sender.put_events, Entries=[other]).startswith("AccessDenied")
    assert error_code(sender.put_events, Entries=[entry, other]).startswith("AccessDenied")
    assert error_code(single.put_events, Entries=[entry, other]).startswith("AccessDenied")


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("StringEquals", "any"),
        ("StringLike", "*"),
        ("StringEqualsIfExists", "any"),
        ("StringNotEquals", "other"),
        ("StringNotLikeIfExists", "other"),
    ],
)
def test_an_operator_for_one_value_does_not_compare_several(account: Account, operator: str, value: str) -> None:
    name = account.unique("bus")
    bus = account.client("events").create_event_bus(Name=name)["EventBusArn"]
    entry = {"Source": "any", "DetailType": "any", "Detail": "{}", "EventBusName": name}
    for key in ("events:source", "events:detail-type"):
        sender = account.role(allow("events:PutEvents", bus, **{operator: {key: value}})).client("events")
        assert error_code(sender.put_events, Entries=[entry]).startswith("AccessDenied")
        denied = account.role(allow("events:PutEvents", bus), deny("events:PutEvents", bus, **{operator: {key: value}})).client(
            "events"
        )
        assert denied.put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_detail_types_of_a_request_are_several_values_of_one_condition_key(account: Account) -> None:
    name = account.unique("bus")
    bus = account.client("events").create_event_bus(Name=name)["EventBusArn"]
    entry = {"Source": "any", "DetailType": "own", "Detail": "{}", "EventBusName": name}
    other = entry | {"DetailType": "other"}
    own = {"ForAllValues:StringEquals": {"events:detail-type": "own"}, "Null": {"events:detail-type": "false"}}
    sender = account.role(allow("events:PutEvents", bus, **own)).client("events")
    assert sender.put_events(Entries=[entry, entry])["FailedEntryCount"] == 0
    assert error_code(sender.put_events, Entries=[entry, other]).startswith("AccessDenied")


def test_a_request_without_tags_has_no_tag_keys(account: Account) -> None:
    condition = {"ForAllValues:StringEquals": {"aws:TagKeys": "team"}, "Null": {"aws:TagKeys": "false"}}
    kms = account.role(allow(["kms:CreateKey", "kms:TagResource"], **condition)).client("kms")
    assert error_code(kms.create_key).startswith("AccessDenied")
    kms.create_key(Tags=[{"TagKey": "team", "TagValue": "sports"}])


def test_boundary_limits_a_role_that_a_service_assumes(account: Account) -> None:
    reader = RoleReader(account, "mediapackage.amazonaws.com", identifier("MediaPackageCDNIdentifier", "12345678"))
    target = Target(account, "mediapackage-vod")
    bound = managed(account, allow(["secretsmanager:*", "kms:*"]), deny("secretsmanager:GetSecretValue"))
    account.client("iam").put_role_permissions_boundary(RoleName=reader.role_name, PermissionsBoundary=bound)
    assert failure(target.create, **authorization(reader))[1] == 422
    account.client("iam").delete_role_permissions_boundary(RoleName=reader.role_name)
    target.create(**authorization(reader))


def test_pass_role_can_depend_on_role_tags(account: Account) -> None:
    reader = RoleReader(account, "mediapackage.amazonaws.com", identifier("MediaPackageCDNIdentifier", "12345678"))
    passing = allow("iam:PassRole", StringEquals={"iam:ResourceTag/team": "sports", "aws:ResourceTag/team": "sports"})
    caller = account.role(allow("mediapackage-vod:*"), passing).client("mediapackage-vod")
    target = Target(account, "mediapackage-vod")
    assert failure(target.create, client=caller, **authorization(reader))[1] == 403
    account.client("iam").tag_role(RoleName=reader.role_name, Tags=[{"Key": "team", "Value": "sports"}])
    target.create(caller, **authorization(reader))


def test_role_operations_are_authorized_against_the_path(account: Account) -> None:
    path, name = "/latchkey/", account.unique("role")
    iam = account.role(allow("iam:*", f"arn:aws:iam::{ACCOUNT}:role{path}*")).client("iam")
    iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust({"AWS": ROOT}))
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(allow("kms:*")))
    other = {"RoleName": account.role().name, "PolicyName": "own", "PolicyDocument": policy(allow("kms:*"))}
    assert error_code(iam.put_role_policy, **other) == "AccessDenied"


def test_leading_keys_limit_a_role_to_one_partition(account: Account) -> None:
    dynamodb, table = account.client("dynamodb"), account.unique("table")
    dynamodb.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "kind", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "kind", "KeyType": "HASH"}],
    )
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["own"]}, "Null": {"dynamodb:LeadingKeys": "false"}}
    limited = account.role(allow(["dynamodb:PutItem", "dynamodb:Query", "dynamodb:Scan"], **own)).client("dynamodb")

    def query(condition: str, value: str, **names: str) -> None:
        aliased = {"ExpressionAttributeNames": {f"#{name}": kind for name, kind in names.items()}} if names else {}
        values = {":value": {"S": value}}
        limited.query(TableName=table, KeyConditionExpression=condition, ExpressionAttributeValues=values, **aliased)

    limited.put_item(TableName=table, Item={"kind": {"S": "own"}})
    query("kind = :value", "own")
    query("#name = :value", "own", name="kind")
    for denied in (
        lambda: limited.put_item(TableName=table, Item={"kind": {"S": "other"}}),
        lambda: query("kind = :value", "other"),
        lambda: query("#name = :value", "other", name="kind"),
        lambda: limited.scan(TableName=table),
    ):
        assert error_code(denied) == "AccessDeniedException"


@pytest.mark.parametrize(
    ("update", "names", "is_allowed"),
    [
        ("SET mine = :value", {}, True),
        ("SET #name = :value", {"#name": "mine"}, True),
        ("SET mine = if_not_exists(mine, :value)", {}, True),
        ("SET theirs = :value", {}, False),
        ("SET #name = :value", {"#name": "theirs"}, False),
        ("SET mine = :value REMOVE theirs", {}, False),
        ("SET mine = if_not_exists(theirs, :value)", {}, False),
        ("SET theirs.part = :value", {}, False),
    ],
)
def test_attributes_limit_a_role_to_parts_of_an_item(
    account: Account, update: str, names: dict[str, str], is_allowed: bool
) -> None:
    dynamodb, table = account.client("dynamodb"), account.unique("table")
    dynamodb.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "kind", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "kind", "KeyType": "HASH"}],
    )
    dynamodb.put_item(TableName=table, Item={"kind": {"S": "own"}, "theirs": {"M": {}}})
    role = account.role(
        allow("dynamodb:UpdateItem", **{"ForAllValues:StringEquals": {"dynamodb:Attributes": ["kind", "mine"]}})
    )

    def write() -> None:
        aliased = {"ExpressionAttributeNames": names} if names else {}
        role.client("dynamodb").update_item(
            TableName=table,
            Key={"kind": {"S": "own"}},
            UpdateExpression=update,
            ExpressionAttributeValues={":value": {"S": "new"}},
            **aliased,
        )

    if is_allowed:
        write()
    else:
        assert error_code(write) == "AccessDeniedException"
