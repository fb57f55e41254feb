"""Senders in another account, with the documented policies: each sends for its tenant and nothing else."""

import json
import secrets
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.outcomes import BUS
from tests.workflow.documented_policies import BUS_ARN, cross_account_statement, sender_policy
from tests.workflow.onboarding import Onboarding

OTHER, STRANGER = "444455556666", "777788889999"


def _root(onboarding: Onboarding, service: str, account: str) -> Any:
    """A client of the root user of an account."""
    return onboarding.aws.client(service, aws_access_key_id=account, aws_secret_access_key="test", aws_session_token=None)


@dataclass(frozen=True)
class Sender:
    """A role in an account, with the documented policy for senders of a tenant."""

    tenant: str
    arn: str
    events: Any
    onboarding: Onboarding

    def put(self, detail: dict[str, Any], source: str | None = None) -> str:
        """Puts a request on the bus and returns the id of its event."""
        entry = {"EventBusName": BUS_ARN, "Source": source or f"latchkey.requests.{self.tenant}"}
        answer = self.events.put_events(Entries=[entry | {"DetailType": "Onboarding Requested", "Detail": json.dumps(detail)}])
        assert answer["FailedEntryCount"] == 0, answer
        return str(answer["Entries"][0]["EventId"])

    def send(self) -> dict[str, Any]:
        """Requests a new access and returns the outcome event."""
        detail = self.onboarding.detail(key=None, managementRoles=None, requestId=None)
        return self.onboarding.outcomes.wait_for_event(self.put(detail))


def _sender(onboarding: Onboarding, tenant: str, account: str) -> Sender:
    iam, name = _root(onboarding, "iam", account), f"deployment-{secrets.token_hex(4)}"
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    assert arn == f"arn:aws:iam::{account}:role/{name}"
    iam.put_role_policy(RoleName=name, PolicyName="send", PolicyDocument=sender_policy(f"latchkey.requests.{tenant}"))
    given = _root(onboarding, "sts", account).assume_role(RoleArn=arn, RoleSessionName="tests")["Credentials"]
    events = onboarding.aws.client(
        "events",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    return Sender(tenant, arn, events, onboarding)


def _tenant(onboarding: Onboarding, *accounts: str) -> str:
    # The functions cache documents, so every test has tenants of its own.
    name = f"t-{secrets.token_hex(6)}"
    onboarding.aws.client("ssm").put_parameter(
        Name=f"/latchkey/tenants/{name}", Type="String", Value=json.dumps({"accounts": [*accounts]})
    )
    return name


def _admit(onboarding: Onboarding, *senders: Sender) -> None:
    """Adds the documented statement for each sender to the policy of the bus, which keeps its own statement."""
    policy = json.loads(onboarding.events.describe_event_bus(Name=BUS)["Policy"])
    for number, sender in enumerate(senders):
        statement = cross_account_statement(f"latchkey.requests.{sender.tenant}", sender.arn)
        policy["Statement"].append(statement | {"Sid": f"Sender{number}"})
    onboarding.events.put_permission(EventBusName=BUS, Policy=json.dumps(policy))


@pytest.fixture
def sports(fast_onboarding: Onboarding) -> Sender:
    """A sender in another account for a tenant of that account."""
    return _sender(fast_onboarding, _tenant(fast_onboarding, OTHER), OTHER)


def test_a_sender_in_another_account_sends_for_its_tenant(fast_onboarding: Onboarding, sports: Sender) -> None:
    _admit(fast_onboarding, sports)

    event = sports.send()

    assert event["detail-type"] == "Access Onboarded", event
    assert event["detail"]["tenant"] == sports.tenant
    assert event["account"] == ACCOUNT


@pytest.mark.parametrize("source", ["latchkey", "latchkey.requests", "latchkey.requests.other", "other"])
def test_a_sender_in_another_account_can_put_no_other_events(fast_onboarding: Onboarding, sports: Sender, source: str) -> None:
    _admit(fast_onboarding, sports)

    with pytest.raises(ClientError, match="AccessDenied"):
        sports.put({}, source=source)


@pytest.mark.parametrize("source", ["latchkey", "latchkey.requests.other"])
def test_the_bus_denies_other_events_of_a_sender_whose_own_account_allows_everything(
    fast_onboarding: Onboarding, sports: Sender, source: str
) -> None:
    _admit(fast_onboarding, sports)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    _root(fast_onboarding, "iam", OTHER).put_role_policy(
        RoleName=sports.arn.rpartition("/")[2], PolicyName="all", PolicyDocument=json.dumps(everything)
    )

    with pytest.raises(ClientError, match="AccessDenied"):
        sports.put({}, source=source)


def test_a_sender_whose_own_account_allows_nothing_is_denied(fast_onboarding: Onboarding, sports: Sender) -> None:
    _admit(fast_onboarding, sports)
    _root(fast_onboarding, "iam", OTHER).delete_role_policy(RoleName=sports.arn.rpartition("/")[2], PolicyName="send")

    with pytest.raises(ClientError, match="AccessDenied"):
        sports.put({})


def test_an_account_that_the_bus_does_not_name_is_denied(fast_onboarding: Onboarding, sports: Sender) -> None:
    stranger = _sender(fast_onboarding, sports.tenant, STRANGER)
    colleague = _sender(fast_onboarding, sports.tenant, OTHER)
    with pytest.raises(ClientError, match="AccessDenied"):
        sports.put({})  # the policy of the stack admits no other account

    _admit(fast_onboarding, sports)

    for denied in (stranger, colleague):
        with pytest.raises(ClientError, match="AccessDenied"):
            denied.put({})
    with pytest.raises(ClientError, match="AccessDenied"):
        _root(fast_onboarding, "events", STRANGER).put_events(
            Entries=[{"EventBusName": BUS_ARN, "Source": "latchkey.requests", "DetailType": "a", "Detail": "{}"}]
        )


def test_a_sender_that_the_bus_admits_by_mistake_is_rejected_for_a_tenant_of_another_account(
    fast_onboarding: Onboarding, sports: Sender
) -> None:
    intruder = _sender(fast_onboarding, sports.tenant, STRANGER)
    _admit(fast_onboarding, sports, intruder)
    before = fast_onboarding.account_snapshot()

    event = intruder.send()

    assert event["detail-type"] == "Request Rejected", event
    assert [error["place"] for error in event["detail"]["errors"]] == ["account"]
    assert fast_onboarding.account_snapshot() == before
