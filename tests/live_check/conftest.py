"""An embedded AWS without a stack, and a person in it who has only the permissions of live_check/policy.json."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from live_check.names import PREFIX
from local_aws.emulator.account import ACCOUNT, REGION
from local_aws.tools.embedded_aws import REPOSITORY, Embedded

POLICY = REPOSITORY / "live_check/policy.json"


@pytest.fixture(scope="session")
def embedded() -> Iterator[Embedded]:
    with Embedded() as running:
        yield running


@dataclass(frozen=True)
class Person:
    """A role with the given policy, and the environment variables with which it uses the embedded AWS."""

    aws: Embedded
    arn: str

    @property
    def environment(self) -> dict[str, str]:
        held = self.aws.client("sts").assume_role(RoleArn=self.arn, RoleSessionName="person")["Credentials"]
        names = {
            "AWS_ACCESS_KEY_ID": "AccessKeyId",
            "AWS_SECRET_ACCESS_KEY": "SecretAccessKey",
            "AWS_SESSION_TOKEN": "SessionToken",
        }
        keys = {variable: held[member] for variable, member in names.items()}
        return keys | {"AWS_ENDPOINT_URL": self.aws.url, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}

    def session(self, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
        """Returns a session of the person. As on the command line, the endpoint comes from the environment."""
        for name in ("AWS_PROFILE", "AWS_CONFIG_FILE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        return boto3.Session()


@pytest.fixture(scope="session")
def person(embedded: Embedded) -> Person:
    """The person of docs/live-check.md: an administrator created the managed policy, which is also the boundary of roles."""
    policy = embedded.client("iam").create_policy(PolicyName=PREFIX, PolicyDocument=POLICY.read_text())["Policy"]["Arn"]
    arn = role_that_anybody_assumes(embedded, "Person")
    embedded.client("iam").attach_role_policy(RoleName="Person", PolicyArn=policy)
    return Person(embedded, arn)


def role_that_anybody_assumes(aws: Embedded, name: str) -> str:
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    return str(aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"])


@pytest.fixture
def local(embedded: Embedded) -> Iterator[Embedded]:
    yield embedded
    for path in ("assumptions", "faults", "calls", "origin"):
        embedded.control("DELETE", path)


def everything(aws: Embedded) -> dict[str, list[Any]]:
    """Returns what a live check could have left, including keys that are not scheduled for deletion."""
    kms = aws.client("kms")
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    stacks = aws.client("cloudformation").list_stacks()["StackSummaries"]
    return {
        "keys": [key["Arn"] for key in keys if key["KeyState"] != "PendingDeletion" and key["KeyManager"] == "CUSTOMER"],
        "stacks": [stack["StackName"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"],
        "secrets": [secret["Name"] for secret in aws.client("secretsmanager").list_secrets()["SecretList"]],
        "roles": [role["RoleName"] for role in aws.client("iam").list_roles()["Roles"] if role["RoleName"].startswith(PREFIX)],
        "locations": [item["SourceLocationName"] for item in aws.client("mediatailor").list_source_locations()["Items"]],
        "channels": [item["Id"] for item in aws.client("mediapackage").list_channels()["Channels"]],
        "endpoints": [item["Id"] for item in aws.client("mediapackage").list_origin_endpoints()["OriginEndpoints"]],
        "groups": [item["Id"] for item in aws.client("mediapackage-vod").list_packaging_groups()["PackagingGroups"]],
        "channelGroups": [item["ChannelGroupName"] for item in aws.client("mediapackagev2").list_channel_groups()["Items"]],
        "flows": [item["Name"] for item in aws.client("mediaconnect").list_flows()["Flows"]],
        "queues": aws.client("sqs").list_queues().get("QueueUrls", []),
        "buses": [bus["Name"] for bus in aws.client("events").list_event_buses()["EventBuses"] if bus["Name"] != "default"],
        "rules": [rule["Name"] for rule in aws.client("events").list_rules()["Rules"]],
    }


def files(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.iterdir()))
