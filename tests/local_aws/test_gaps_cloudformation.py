"""CloudFormation: event bus policies in templates, and the rollback of a first deployment."""

import json
from typing import Any

import pytest

from local_aws.tools.embedded_aws import Embedded, until
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
