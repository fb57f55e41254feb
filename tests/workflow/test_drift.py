"""The service reads on while another principal lost access: a finding, and no false alarm that the access is revoked."""

import json
import uuid
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import until
from tests.workflow.clean_ups import Access, CleanUps
from tests.workflow.consumer_resources import CONSUMERS
from tests.workflow.onboarding import Onboarding

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}],
    }
)
ORIGIN_CHECKS = ["key policy admits the origin readers", "secret policy admits the origin readers"]


@pytest.fixture
def clean_ups(onboarding: Onboarding) -> CleanUps:
    return CleanUps(onboarding)


def notices(onboarding: Onboarding, access_id: str) -> list[tuple[str, list[str]]]:
    """The events about an access that no request asked for, each with its failed checks."""
    events = [event for event in onboarding.outcomes.all() if event["detail"].get("accessId") == access_id]
    checks = [(event["detail-type"], event["detail"].get("findings", event["detail"].get("lost", []))) for event in events]
    return [(kind, [check["name"] for check in failed]) for kind, failed in checks if not kind.startswith("Access On")]


def status(clean_ups: CleanUps, access: Access) -> str:
    [item] = clean_ups.items("access", access)
    return str(item["status"]["S"])


def onboarded(clean_ups: CleanUps, **changes: Any) -> Access:
    [access] = clean_ups.onboard(clean_ups.onboarding.detail(**changes))
    return access


def read_by(role: str) -> dict[str, Any]:
    return {"value": {"generate": {"length": 40}}, "originReaders": [role]}


def test_recreated_origin_role_is_found_by_a_sweep_and_mended_by_the_request(clean_ups: CleanUps) -> None:
    onboarding, iam, role = clean_ups.onboarding, clean_ups.aws.client("iam"), f"Origin{uuid.uuid4().hex[:8]}"
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    access = onboarded(clean_ups, secret=read_by(arn))
    iam.delete_role(RoleName=role)
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=TRUST)

    onboarding.sweep()

    assert notices(onboarding, access.access_id) == [("Drift Detected", ORIGIN_CHECKS)]
    assert (status(clean_ups, access), clean_ups.grants(access)) == ("active", [access.grant])
    assert clean_ups.reads(access)
    onboarding.sweep()
    assert len(notices(onboarding, access.access_id)) == 1
    onboarding.onboard(access.detail | {"requestId": f"request-{uuid.uuid4().hex[:12]}"})
    onboarding.sweep()
    assert len(notices(onboarding, access.access_id)) == 1


@pytest.mark.parametrize(
    ("kind", "check"), [("LatchkeyAdministrators", "administrators"), ("LatchkeyMediatailorManagement", "roles")]
)
def test_lost_statement_of_a_key_policy_is_a_finding_until_it_is_back(clean_ups: CleanUps, kind: str, check: str) -> None:
    onboarding = clean_ups.onboarding
    name = f"loc-{uuid.uuid4().hex[:8]}"
    key = {"alias": f"alias/latchkey/{name}", "administrators": [f"arn:aws:iam::{ACCOUNT}:role/Origin"]}
    access = onboarded(clean_ups, name=name, key=key)
    policy = onboarding.key_policy(access.key)
    kept = [statement for statement in policy["Statement"] if statement["Sid"] != kind]

    onboarding.kms.put_key_policy(KeyId=access.key, PolicyName="default", Policy=json.dumps(policy | {"Statement": kept}))

    found = [("Drift Detected", [f"key policy admits the {check}"])]
    until(lambda: notices(onboarding, access.access_id) == found, "the finding", 60)
    assert status(clean_ups, access) == "active"
    onboarding.kms.put_key_policy(KeyId=access.key, PolicyName="default", Policy=json.dumps(policy))
    until(lambda: notices(onboarding, access.access_id) == [*found, ("Drift Resolved", [])], "its end", 60)


def test_deleted_reader_of_the_secret_policy_is_a_finding(clean_ups: CleanUps) -> None:
    """Only the origin lost its statement; the service is still allowed."""
    onboarding = clean_ups.onboarding
    access = onboarded(clean_ups)
    policy = onboarding.secret_policy(access.secret)
    kept = [statement for statement in policy["Statement"] if statement["Sid"] != "LatchkeyOriginReaders"]

    text = json.dumps(policy | {"Statement": kept})
    onboarding.secretsmanager.put_resource_policy(SecretId=access.secret, ResourcePolicy=text)

    found = [("Drift Detected", ["secret policy admits the origin readers"])]
    until(lambda: notices(onboarding, access.access_id) == found, "the finding", 60)
    assert status(clean_ups, access) == "active"
    [drifted] = [event["detail"] for event in onboarding.outcomes.all() if event["detail-type"] == "Drift Detected"]
    [one], hint = drifted["findings"], drifted["hint"]
    assert (hint["eventName"], hint["principal"]) == ("PutResourcePolicy", f"arn:aws:iam::{ACCOUNT}:root")
    assert [one["trailEventId"], one["principal"], one["since"]] == [hint["eventId"], hint["principal"], hint["eventTime"]]


def _copied(iam: Any, name: str) -> dict[str, Any]:
    role = iam.get_role(RoleName=name)["Role"]
    policy = iam.get_role_policy(RoleName=name, PolicyName="ReadOneSecret")["PolicyDocument"]
    iam.delete_role_policy(RoleName=name, PolicyName="ReadOneSecret")
    iam.delete_role(RoleName=name)
    return {"role": role, "policy": policy}


def test_reader_role_of_a_service_is_watched_by_the_sweep(onboarding: Onboarding) -> None:
    """IAM is global, so its trail events reach only one Region."""
    iam, consumer = onboarding.aws.client("iam"), CONSUMERS["mediapackagev2"](onboarding.aws)
    outcome = onboarding.onboard(consumer.detail)
    name = outcome["resources"]["roleArn"].rpartition("/")[2]
    former = _copied(iam, name)

    onboarding.sweep()
    assert notices(onboarding, outcome["accessId"]) == [("Access Revoked", ["role exists"])]

    role = former["role"]
    boundary = role["PermissionsBoundary"]["PermissionsBoundaryArn"]
    trust = json.dumps(role["AssumeRolePolicyDocument"])
    onboarding.await_later_second()  # IAM dates a role in whole seconds.
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary, Tags=role["Tags"])
    iam.put_role_policy(RoleName=name, PolicyName="ReadOneSecret", PolicyDocument=json.dumps(former["policy"]))

    def is_swept() -> bool:
        """Sweeps within one grace period start an execution only once."""
        onboarding.sweep()
        return len(notices(onboarding, outcome["accessId"])) > 2

    until(is_swept, "the restored access", 60)
    after = notices(onboarding, outcome["accessId"])[1:]
    assert sorted(after) == [("Access Restored", []), ("Drift Detected", ["role is the one that was recorded"])]
