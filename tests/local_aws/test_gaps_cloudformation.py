"""CloudFormation: event bus policies in templates, and the rollback of a first deployment."""

import json
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded, session, until
from tests.local_aws.gap_account import Account, allow, trust


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def test_event_bus_policy_is_created_updated_and_deleted(account: Account) -> None:
    bus, table = account.unique("bus"), account.unique("table")
    key = [{"AttributeName": "id", "KeyType": "HASH"}]
    document = {"Version": "2012-10-17", "Statement": [allow("kms:*")]}
    queue_statement = {"Principal": {"Service": "events.amazonaws.com"}} | allow("sqs:SendMessage")
    target = {"Arn": {"Fn::GetAtt": ["Queue", "Arn"]}, "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}}
    account.deploy(
        {
            "Bus": resource("Events::EventBus", Name=bus),
            "BusPolicy": resource(
                "Events::EventBusPolicy",
                EventBusName={"Ref": "Bus"},
                StatementId="Account",
                Action="events:PutEvents",
                Principal={"Ref": "AWS::AccountId"},
            ),
            "Table": resource(
                "DynamoDB::Table",
                TableName=table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                KeySchema=key,
                PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
                DeletionProtectionEnabled=True,
                TimeToLiveSpecification={"AttributeName": "until", "Enabled": True},
            ),
            "Queue": resource("SQS::Queue", SqsManagedSseEnabled=True),
            "QueuePolicy": resource(
                "SQS::QueuePolicy",
                Queues=[{"Ref": "Queue"}],
                PolicyDocument={"Version": "2012-10-17", "Statement": [queue_statement]},
            ),
            "Alarm": resource(
                "CloudWatch::Alarm",
                Namespace="AWS/SQS",
                MetricName="ApproximateNumberOfMessagesVisible",
                Dimensions=[{"Name": "QueueName", "Value": {"Fn::GetAtt": ["Queue", "QueueName"]}}],
                Statistic="Maximum",
                Period=60,
                EvaluationPeriods=1,
                Threshold=0,
                ComparisonOperator="GreaterThanThreshold",
                TreatMissingData="notBreaching",
            ),
            "Logs": resource("Logs::LogGroup", RetentionInDays=30),
            "Policy": resource("IAM::ManagedPolicy", PolicyDocument=document),
            "Role": resource(
                "IAM::Role",
                AssumeRolePolicyDocument=json.loads(trust({"Service": "scheduler.amazonaws.com"})),
                PermissionsBoundary={"Ref": "Policy"},
                ManagedPolicyArns=[{"Ref": "Policy"}],
            ),
            "Schedule": resource(
                "Scheduler::Schedule",
                ScheduleExpression="rate(1 hour)",
                FlexibleTimeWindow={"Mode": "OFF"},
                Target=target | {"DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}},
            ),
        }
    )
    described = account.client("dynamodb").describe_table(TableName=table)["Table"]
    assert described["DeletionProtectionEnabled"]
    (statement,) = json.loads(account.client("events").describe_event_bus(Name=bus)["Policy"])["Statement"]
    assert (statement["Sid"], statement["Principal"]) == ("Account", "000000000000")


def test_an_archive_is_created_updated_and_deleted(account: Account) -> None:
    events, name, stack = account.client("events"), account.unique("bus"), account.unique("stack")
    events.create_event_bus(Name=name)
    source = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/{name}"
    cloudformation = account.client("cloudformation")

    def archives() -> list[tuple[str, int]]:
        found = events.list_archives(EventSourceArn=source)["Archives"]
        return [(archive["State"], archive["RetentionDays"]) for archive in found]

    for days, change in ((7, cloudformation.create_stack), (14, cloudformation.update_stack)):
        archive = resource("Events::Archive", SourceArn=source, EventPattern={"source": ["a"]}, RetentionDays=days)
        change(StackName=stack, TemplateBody=json.dumps({"Resources": {"Archive": archive}}))
        until(lambda: archives() == [("ENABLED", days)], "the archive")  # noqa: B023  called before days changes
        until(
            lambda: cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"].endswith("E_COMPLETE"),
            "the stack",
        )
    cloudformation.delete_stack(StackName=stack)

    until(lambda: archives() == [], "the deletion of the archive")


def _status(account: Account, stack: str) -> str:
    return str(account.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])


def test_stacks_of_one_name_in_two_regions_have_roles_of_different_names(account: Account) -> None:
    stack = account.unique("stack")
    role = resource("IAM::Role", AssumeRolePolicyDocument=json.loads(trust({"Service": "lambda.amazonaws.com"})))
    template = json.dumps({"Resources": {"Role": role}, "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}}})

    def role_in(region: str) -> str:
        root: Any = session(region=region)
        cloudformation = root.client("cloudformation", endpoint_url=account.local.url)
        cloudformation.create_stack(StackName=stack, TemplateBody=template, Capabilities=["CAPABILITY_IAM"])
        found = until(lambda: cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs"), "the role")
        return str(found[0]["OutputValue"])

    arns = {role_in("us-east-1"), role_in("eu-west-1")}

    assert len(arns) == 2
    for arn in arns:
        account.client("iam").get_role(RoleName=arn.rpartition("/")[2])


@pytest.mark.parametrize(
    ("policy", "protected", "status", "stays"),
    [
        ("RetainExceptOnCreate", True, "ROLLBACK_FAILED", True),
        ("Retain", True, "ROLLBACK_COMPLETE", True),
        ("RetainExceptOnCreate", False, "ROLLBACK_COMPLETE", False),
    ],
)
def test_protected_table_fails_the_rollback_of_a_first_deployment_that_must_delete_it(
    account: Account, policy: str, protected: bool, status: str, stays: bool
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html"""
    stack, table = account.unique("stack"), account.unique("table")
    made = resource(
        "DynamoDB::Table",
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        DeletionProtectionEnabled=protected,
    )
    absent = "arn:aws:iam::000000000000:policy/absent"
    trusted = json.loads(trust({"Service": "scheduler.amazonaws.com"}))
    role = resource("IAM::Role", AssumeRolePolicyDocument=trusted, PermissionsBoundary=absent) | {"DependsOn": "Table"}
    template = json.dumps({"Resources": {"Table": made | {"DeletionPolicy": policy}, "Role": role}})
    cloudformation, dynamodb = account.client("cloudformation"), account.client("dynamodb")
    cloudformation.create_stack(StackName=stack, TemplateBody=template, Capabilities=["CAPABILITY_IAM"])

    def ended() -> str | None:
        found: str = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        return None if found.endswith("IN_PROGRESS") else found

    assert until(ended, "the end of the rollback") == status
    assert (table in dynamodb.list_tables()["TableNames"]) == stays
