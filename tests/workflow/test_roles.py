"""Each function's role does that function's job, and is denied every other's, by enforcement and not by reading policies."""

import json
import secrets
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local_aws.embedded import ACCOUNT, Embedded
from tests.workflow.conftest import MEMBER, Onboarding

FUNCTIONS = (
    "AttachPolicies",
    "CheckRequest",
    "ConfigureAccess",
    "CreateKey",
    "CreateSecret",
    "ReceiveRequest",
    "RecordAccess",
    "ReportOutcome",
    "ValidateAccess",
    "UndoOnboarding",  # last, since its job is to delete what the others look at
)
OURS = {"latchkey:managed-by": "latchkey"}


class Jobs:
    """One call for each job, on a key, secret and names that are Latchkey's own."""

    def __init__(self, onboarding: Onboarding, resources: dict[str, str]) -> None:
        self._onboarding, self._key, self._secret = onboarding, resources["keyArn"], resources["secretArn"]
        stack = onboarding.aws.client("cloudformation").describe_stacks(StackName="latchkey")["Stacks"][0]
        self._outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.calls: dict[str, Callable[[Any], object]] = {
            "create a key": lambda c: c("kms").create_key(Tags=[{"TagKey": k, "TagValue": v} for k, v in OURS.items()]),
            "create an untagged key": lambda c: c("kms").create_key(),
            "create a consented key": lambda c: c("kms").create_key(
                Tags=[{"TagKey": k, "TagValue": v} for k, v in (OURS | {"latchkey:consent": "adopt"}).items()]
            ),
            "tag a key": lambda c: c("kms").tag_resource(
                KeyId=self._key, Tags=[{"TagKey": "latchkey:consent", "TagValue": "adopt"}]
            ),
            "untag a key": lambda c: c("kms").untag_resource(KeyId=self._key, TagKeys=["latchkey:request"]),
            "write a key policy": lambda c: c("kms").put_key_policy(
                KeyId=self._key, PolicyName="default", Policy=json.dumps(onboarding.key_policy(self._key))
            ),
            "disable a key": lambda c: c("kms").disable_key(KeyId=self._key),
            "delete a key": lambda c: c("kms").schedule_key_deletion(KeyId=self._key, PendingWindowInDays=7),
            "grant by itself": lambda c: c("kms").create_grant(
                KeyId=self._key, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:role/Origin", Operations=["Decrypt"]
            ),
            "create a secret": lambda c: c("secretsmanager").create_secret(
                Name=f"latchkey/{secrets.token_hex(6)}/job",
                SecretString=json.dumps({MEMBER: secrets.token_hex(10)}),
                KmsKeyId=self._key,
                Tags=[{"Key": k, "Value": v} for k, v in OURS.items()],
            ),
            "create a secret elsewhere": lambda c: c("secretsmanager").create_secret(
                Name=f"elsewhere/{secrets.token_hex(6)}", Tags=[{"Key": k, "Value": v} for k, v in OURS.items()]
            ),
            "read a token": lambda c: c("secretsmanager").get_secret_value(SecretId=self._secret),
            "write a secret policy": lambda c: c("secretsmanager").put_resource_policy(
                SecretId=self._secret,
                ResourcePolicy=json.dumps(onboarding.secret_policy(self._secret)),
                BlockPublicPolicy=True,
            ),
            "write a secret policy unguarded": lambda c: c("secretsmanager").put_resource_policy(
                SecretId=self._secret, ResourcePolicy=json.dumps(onboarding.secret_policy(self._secret))
            ),
            "delete a secret": lambda c: c("secretsmanager").delete_secret(SecretId=self._secret),
            "configure a location": lambda c: c("mediatailor").create_source_location(
                SourceLocationName=f"job-{secrets.token_hex(6)}", HttpConfiguration={"BaseUrl": "https://origin.example.com"}
            ),
            "delete a location": lambda c: c("mediatailor").delete_source_location(
                SourceLocationName=resources["resourceArn"].rsplit("/", 1)[1]
            ),
            "tell an outcome": lambda c: self._put_event(c, "latchkey"),
            "forge a request": lambda c: self._put_event(c, "latchkey.requests"),
            "start an execution": lambda c: c("stepfunctions").start_execution(
                stateMachineArn=self._outputs["OnboardStateMachineArn"],
                name=f"job-{secrets.token_hex(6)}",
                input=json.dumps({"requestId": "job", "contentHash": "job", "problems": [{"place": "a", "rule": "b"}]}),
            ),
            "write an access": lambda c: self._update_item(c, "access"),
            "take a lease": lambda c: self._put_item(c, "lease"),
            "write a request": lambda c: self._update_item(c, "request"),
            "note a resource": lambda c: self._update_item(c, "resource"),
            "make a role": lambda c: c("iam").create_role(
                RoleName=f"job-{secrets.token_hex(6)}", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17"})
            ),
            "become another role": lambda c: c("sts").assume_role(
                RoleArn=f"arn:aws:iam::{ACCOUNT}:role/Origin", RoleSessionName="job"
            ),
        }

    def _put_item(self, client: Any, kind: str) -> None:
        item = {"kind": {"S": kind}, "id": {"S": secrets.token_hex(6)}}
        client("dynamodb").put_item(TableName=self._outputs["AccessTableName"], Item=item)

    def _update_item(self, client: Any, kind: str) -> None:
        key = {"kind": {"S": kind}, "id": {"S": secrets.token_hex(6)}}
        client("dynamodb").update_item(TableName=self._outputs["AccessTableName"], Key=key)

    def _put_event(self, client: Any, source: str) -> None:
        entry = {"EventBusName": self._outputs["RequestBusName"], "Source": source, "DetailType": "Test", "Detail": "{}"}
        client("events").put_events(Entries=[entry])


# The whole of what each role may do of these; everything not named is denied.
ALLOWED: dict[str, set[str]] = {
    "AttachPolicies": {"write a key policy", "write a secret policy", "take a lease"},
    "CheckRequest": {"write a request", "write an access", "note a resource"},
    "ConfigureAccess": {"configure a location", "write an access"},
    # KMS makes a key only for somebody who could write its policy again; of other keys it cannot.
    "CreateKey": {"create a key", "write a key policy", "take a lease", "note a resource"},
    "CreateSecret": {"create a secret", "read a token"},
    "ReceiveRequest": {"start an execution"},
    "RecordAccess": {"write an access", "note a resource"},
    "ReportOutcome": {"tell an outcome", "write a request", "write an access"},
    "UndoOnboarding": {
        "write a key policy",
        "write a secret policy",
        "delete a key",
        "delete a secret",
        "delete a location",
        "take a lease",
        "note a resource",
    },
    "ValidateAccess": set(),
}


@pytest.fixture(scope="session")
def sessions(aws: Embedded) -> dict[str, boto3.Session]:
    """A session of each function's role, which for this test trusts the account's root beside Lambda."""
    iam, found = aws.client("iam"), {}
    for role in (role for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]):
        name = next((f for f in FUNCTIONS if role["RoleName"].startswith(f"latchkey-{f}FunctionRole")), None)
        if name:
            trust = role["AssumeRolePolicyDocument"]
            root = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
            document = json.dumps(trust | {"Statement": [*trust["Statement"], root]})
            iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=document)
            found[name] = aws.assume(role["Arn"])
    assert set(found) == set(FUNCTIONS)
    return found


@pytest.fixture(scope="module")
def resources(aws: Embedded, outcomes: Any) -> dict[str, str]:
    onboarding = Onboarding(aws, outcomes)
    made: dict[str, str] = onboarding.onboard(onboarding.detail())["resources"]
    return made


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_does_its_own_job_only(
    onboarding: Onboarding, sessions: dict[str, boto3.Session], resources: dict[str, str], function: str
) -> None:
    jobs = Jobs(onboarding, resources)

    def client(service: str) -> Any:
        name: Any = service
        return sessions[function].client(name, endpoint_url=onboarding.aws.url)

    assert {job for job, call in jobs.calls.items() if _is_allowed(call, client)} == ALLOWED[function]


def _is_allowed(call: Callable[[Any], object], client: Any) -> bool:
    try:
        call(client)
    except ClientError as error:
        if "AccessDenied" not in error.response["Error"]["Code"]:
            raise
        return False
    return True
