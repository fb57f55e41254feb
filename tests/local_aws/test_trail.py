"""Write calls arrive on the default event bus as CloudTrail events in the documented format, without secret values."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.tools.embedded_aws import Embedded, until
from tests.local_aws.conftest import TOKEN, Access


@dataclass
class Bus:
    """The events that the default event bus delivered to a queue."""

    local: Embedded
    queue: str
    seen: list[dict[str, Any]]

    def wait(self, name: str, matches: Callable[[dict[str, Any]], object] = lambda _: True) -> dict[str, Any]:
        """Returns the first event whose record has this `eventName` and matches, waiting for it if necessary."""

        def find() -> list[dict[str, Any]]:
            self.drain()
            return [e for e in self.seen if e["detail"]["eventName"] == name and matches(e["detail"])]

        return until(find, name)[0]

    def drain(self) -> None:
        sqs = self.local.client("sqs")
        for message in sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", []):
            self.seen.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture
def bus(local: Embedded) -> Iterator[Bus]:
    name = f"trail-{uuid.uuid4().hex[:8]}"
    sqs, events = local.client("sqs"), local.client("events")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement | {"Resource": arn}]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    events.put_rule(Name=name, EventPattern=json.dumps({"detail-type": ["AWS API Call via CloudTrail"]}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    yield Bus(local, queue, [])
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)
    sqs.delete_queue(QueueUrl=queue)


def test_event_and_record_have_the_documented_format(bus: Bus) -> None:
    key = bus.local.client("kms").create_key()["KeyMetadata"]["Arn"]
    bus.local.client("kms").disable_key(KeyId=key.rpartition("/")[2])
    event = bus.wait("DisableKey")
    assert event["source"] == "aws.kms"
    assert event["detail-type"] == "AWS API Call via CloudTrail"
    assert event["resources"] == []
    assert event["account"] == "000000000000"
    assert event["region"] == "us-east-1"
    record = event["detail"]
    assert record["requestParameters"] == {"keyId": key.rpartition("/")[2]}  # as in the request
    assert record["resources"] == [{"accountId": "000000000000", "type": "AWS::KMS::Key", "ARN": key}]
    assert record["responseElements"] == {"keyId": key}
    assert record["readOnly"] is False
    assert record["eventType"] == "AwsApiCall"
    assert record["userIdentity"]["type"] == "Root"
    assert "errorCode" not in record


def test_reads_are_not_recorded(bus: Bus, access: Access) -> None:
    bus.local.client("kms").describe_key(KeyId=access.key)
    bus.local.client("secretsmanager").get_secret_value(SecretId=access.secret)
    bus.local.client("mediatailor").list_source_locations()
    bus.local.client("iam").create_user(UserName=access.name)
    bus.wait("CreateUser")
    names = {event["detail"]["eventName"] for event in bus.seen}
    assert not names & {"DescribeKey", "GetSecretValue", "ListSourceLocations", "Decrypt", "GenerateDataKey"}


def test_failed_calls_have_an_error_code(bus: Bus) -> None:
    with pytest.raises(ClientError):
        bus.local.client("secretsmanager").delete_secret(SecretId="latchkey/absent")
    record = bus.wait("DeleteSecret")["detail"]
    assert record["errorCode"] == "ResourceNotFoundException"
    assert record["responseElements"] is None
    assert record["requestParameters"] == {"secretId": "latchkey/absent"}


def test_secrets_manager_records_have_arns_and_no_values(bus: Bus, access: Access) -> None:
    client = bus.local.client("secretsmanager")
    name = access.secret.partition(":secret:")[2][:-7]
    other = json.dumps({"MyAccessTokenIdentifier": TOKEN})
    client.put_secret_value(SecretId=name, SecretString=other)
    client.update_secret(SecretId=access.secret, SecretBinary=TOKEN.encode())
    client.tag_resource(SecretId=name, Tags=[{"Key": "team", "Value": "sports"}])
    client.delete_resource_policy(SecretId=name)
    client.delete_secret(SecretId=name, RecoveryWindowInDays=7)
    for operation in ("PutSecretValue", "UpdateSecret", "TagResource", "DeleteResourcePolicy", "DeleteSecret"):
        record = bus.wait(operation)["detail"]
        assert record["eventSource"] == "secretsmanager.amazonaws.com"
        assert record["responseElements"]["arn"] == access.secret
        assert record["requestParameters"]["secretId"] in (name, access.secret)
    deleted = bus.wait("DeleteSecret")["detail"]
    assert deleted["requestParameters"]["recoveryWindowInDays"] == 7
    assert deleted["responseElements"]["name"] == name
    assert deleted["responseElements"]["deletionDate"].endswith(("AM", "PM"))
    put = bus.wait("PutSecretValue")["detail"]["requestParameters"]
    assert put.keys() == {"secretId", "clientRequestToken"}
    assert TOKEN not in json.dumps(bus.seen)


@pytest.mark.parametrize(("case", "member"), [("pascal", "SourceLocationName"), ("camel", "sourceLocationName")])
def test_trail_member_case_assumption_for_mediatailor(bus: Bus, access: Access, case: str, member: str) -> None:
    bus.local.control("PUT", "assumptions", {"trailMemberCase": case})
    access.create()
    bus.local.client("mediatailor").delete_source_location(SourceLocationName=access.name)
    created, deleted = bus.wait("CreateSourceLocation")["detail"], bus.wait("DeleteSourceLocation")["detail"]
    assert created["eventSource"] == "mediatailor.amazonaws.com"
    assert created["requestParameters"][member] == created["responseElements"][member] == access.name
    assert deleted["requestParameters"] == {member: access.name}
    assert deleted["responseElements"] is None


def test_kms_calls_of_mediatailor_are_recorded(bus: Bus, access: Access) -> None:
    role = "arn:aws:iam::000000000000:role/MediaTailorManagement"
    session = bus.local.assume(role)
    access.create(session.client("mediatailor", endpoint_url=bus.local.url))
    (grant,) = access.grants()
    bus.local.client("mediatailor").delete_source_location(SourceLocationName=access.name)
    made = bus.wait("CreateGrant")["detail"]
    assert made["userIdentity"]["type"] == "AssumedRole"
    assert made["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] == role
    assert made["userIdentity"]["invokedBy"] == made["sourceIPAddress"] == "mediatailor.amazonaws.com"
    assert made["requestParameters"] == {
        "keyId": access.key,
        "granteePrincipal": "mediatailor.us-east-1.amazonaws.com",
        "operations": ["Decrypt", "RetireGrant"],
        "constraints": {"encryptionContextSubset": {"SecretARN": access.secret}},
    }
    assert made["responseElements"] == {"grantId": grant["GrantId"], "keyId": access.key}
    retired = bus.wait("RetireGrant")["detail"]
    assert retired["requestParameters"] is None
    assert retired["responseElements"] is None
    assert retired["additionalEventData"] == {"grantId": grant["GrantId"]}
    assert retired["resources"][0]["ARN"] == access.key
    assert retired["userIdentity"]["invokedBy"] == "mediatailor.amazonaws.com"
    assert TOKEN not in json.dumps(bus.seen)


def test_revoked_and_retired_grants_are_recorded(bus: Bus, access: Access) -> None:
    kms, owner = bus.local.client("kms"), "arn:aws:iam::000000000000:root"
    made = [
        kms.create_grant(KeyId=access.key, GranteePrincipal=owner, RetiringPrincipal=owner, Operations=["Decrypt"])
        for _ in range(2)
    ]
    kms.revoke_grant(KeyId=access.key, GrantId=made[0]["GrantId"])
    kms.retire_grant(GrantToken=made[1]["GrantToken"])
    revoked, retired = bus.wait("RevokeGrant")["detail"], bus.wait("RetireGrant")["detail"]
    assert revoked["requestParameters"] == {"keyId": access.key, "grantId": made[0]["GrantId"]}
    assert retired["requestParameters"] is None
    assert retired["additionalEventData"] == {"grantId": made[1]["GrantId"]}
    assert retired["resources"][0]["ARN"] == access.key


def test_scheduled_deletion_has_its_date(bus: Bus, access: Access) -> None:
    bus.local.client("kms").schedule_key_deletion(KeyId=access.key, PendingWindowInDays=7)
    record = bus.wait("ScheduleKeyDeletion")["detail"]
    assert record["requestParameters"] == {"keyId": access.key, "pendingWindowInDays": 7}
    assert record["responseElements"]["keyState"] == "PendingDeletion"
    assert record["responseElements"]["deletionDate"].endswith(("AM", "PM"))


def test_lost_and_duplicate_events(bus: Bus, access: Access) -> None:
    iam = bus.local.client("iam")
    bus.local.control("PUT", "assumptions", {"trail": {"lose": 1}})
    iam.create_user(UserName=f"{access.name}-a")
    bus.local.control("PUT", "assumptions", {"trail": {"duplicate": 1, "shuffle": True, "delaySeconds": 0.2}})
    iam.create_user(UserName=f"{access.name}-b")

    def arrived() -> list[dict[str, Any]]:
        bus.drain()
        users = [e for e in bus.seen if e["detail"]["eventName"] == "CreateUser"]
        return users if len(users) == 2 else []

    first, second = until(arrived, "both copies")
    assert first["detail"]["requestParameters"]["userName"] == f"{access.name}-b"
    assert first["detail"]["eventID"] == second["detail"]["eventID"]
    assert first["id"] != second["id"]


def test_put_events_with_an_aws_source_is_rejected(local: Embedded) -> None:
    entry = {"Source": "aws.mediatailor", "DetailType": "AWS API Call via CloudTrail", "Detail": "{}"}
    answer = local.client("events").put_events(Entries=[entry])
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"


def test_calls_for_endpoints_and_flows_are_recorded(bus: Bus, access: Access) -> None:
    package, name = bus.local.client("mediapackage"), {"Id": access.name}
    package.create_channel(**name)
    package.create_origin_endpoint(**name, ChannelId=access.name)
    package.update_origin_endpoint(**name, Description="live")
    bus.local.client("mediapackage-vod").create_packaging_group(**name)
    flow = {"Name": access.name, "Source": {"Name": "camera", "Protocol": "zixi-push"}}
    arn = bus.local.client("mediaconnect").create_flow(**flow)["Flow"]["FlowArn"]
    updated = bus.wait("UpdateOriginEndpoint")["detail"]
    assert updated["eventSource"] == "mediapackage.amazonaws.com"
    assert updated["requestParameters"] == {"id": access.name, "description": "live"}
    assert updated["responseElements"]["channelId"] == access.name
    assert bus.wait("CreatePackagingGroup")["source"] == "aws.mediapackage-vod"
    made = bus.wait("CreateFlow")["detail"]
    assert made["requestParameters"]["source"] == {"name": "camera", "protocol": "zixi-push"}
    assert made["responseElements"]["flow"]["flowArn"] == arn


@pytest.mark.parametrize(("case", "member"), [("pascal", "ChannelGroupName"), ("camel", "channelGroupName")])
def test_trail_member_case_assumption_for_mediapackage_v2(bus: Bus, access: Access, case: str, member: str) -> None:
    bus.local.control("PUT", "assumptions", {"trailMemberCase": case})
    bus.local.client("mediapackagev2").create_channel_group(ChannelGroupName=access.name)
    made = bus.wait("CreateChannelGroup")["detail"]
    assert made["eventSource"] == "mediapackagev2.amazonaws.com"
    assert made["requestParameters"][member] == made["responseElements"][member] == access.name


def test_rejected_configuration_is_recorded_with_its_error(bus: Bus, access: Access) -> None:
    package, name = bus.local.client("mediapackage"), {"Id": access.name}
    package.create_channel(**name)
    role = "arn:aws:iam::000000000000:role/absent"
    with pytest.raises(ClientError):
        package.create_origin_endpoint(
            **name,
            ChannelId=access.name,
            Authorization={"CdnIdentifierSecret": access.secret, "SecretsRoleArn": role},
        )
    record = bus.wait("CreateOriginEndpoint")["detail"]
    assert record["errorCode"] == "UnprocessableEntityException"
    assert record["requestParameters"]["authorization"] == {"cdnIdentifierSecret": access.secret, "secretsRoleArn": role}
    assert record["responseElements"] is None
