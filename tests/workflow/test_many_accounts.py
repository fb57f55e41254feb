"""Two accounts of an organization in two Regions, with one central bus: who can send requests, and where their outcomes go."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.tools.embedded_aws import Embedded, until
from local_aws.tools.organization import Member, Organization
from local_aws.tools.outcomes import Outcomes
from tests.workflow.owned_resources import unique

ONBOARDING = "Onboarding Requested"


@dataclass(frozen=True)
class Company:
    """An organization with a stack in Virginia and another one in Ireland, each in an account of its own."""

    organization: Organization
    virginia: Member
    ireland: Member
    central: Outcomes
    bus_arn: str

    @property
    def colleague(self) -> Member:
        """The account of the other stack, in the Region of the bus: PutEvents finds no bus of another Region."""
        return replace(self.ireland, region=self.virginia.region)

    def detail(self, name: str) -> dict[str, Any]:
        """A request for a new source location."""
        resource = {"sourceLocation": name, "baseUrl": f"{self.organization.aws.origin_url}/vod", "header": "X-Origin-Token"}
        return {"requestId": f"request-{name}", "system": "mediatailor", "resource": resource | {"secretKey": "token"}}

    def onboard(self, member: Member) -> dict[str, Any]:
        """Onboards a new source location and returns its outcome as the central bus got it."""
        detail = self.detail(unique("location"))
        member.send(ONBOARDING, detail)
        return self.central.wait_for(detail["requestId"])


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    with Embedded(hurried=True) as aws:
        organization = Organization(aws)
        outputs = organization.deploy_central()
        virginia, ireland = (
            organization.deploy(organization.create_account(name), region, outputs["CentralBusArn"])
            for name, region in (("sports", "us-east-1"), ("news", "eu-west-1"))
        )
        central = Outcomes(aws, outputs["CentralBusName"])
        yield Company(organization, virginia, ireland, central, outputs["CentralBusArn"])


def test_the_central_bus_gets_the_outcomes_of_every_account_and_region(company: Company) -> None:
    for member in (company.virginia, company.ireland):
        event = company.onboard(member)

        assert event["detail-type"] == "Access Onboarded", event["detail"]
        assert (event["account"], event["region"]) == (member.account, member.region)
        assert event["detail"]["resources"]["secretArn"].startswith(
            f"arn:aws:secretsmanager:{member.region}:{member.account}:secret:"
        )


def test_an_account_of_the_organization_sends_for_a_tenant_that_lists_it(company: Company) -> None:
    _create_tenant(company.virginia, "shared", company.ireland.account)
    detail = company.detail(unique("location"))

    company.colleague.send(ONBOARDING, detail, "latchkey.requests.shared", company.virginia.bus_arn)

    event = company.central.wait_for(detail["requestId"])
    assert (event["detail-type"], event["detail"]["tenant"]) == ("Access Onboarded", "shared")
    assert event["account"] == company.virginia.account


@pytest.mark.parametrize("accounts", [[], None], ids=["no account", "only its own by default"])
def test_an_account_that_a_tenant_does_not_list_is_rejected(company: Company, accounts: list[str] | None) -> None:
    tenant = unique("tenant")
    _create_tenant(company.virginia, tenant, *accounts or (), lists=accounts is not None)
    detail = company.detail(unique("location"))

    company.colleague.send(ONBOARDING, detail, f"latchkey.requests.{tenant}", company.virginia.bus_arn)

    event = company.central.wait_for(detail["requestId"])
    assert event["detail-type"] == "Request Rejected"
    assert [error["place"] for error in event["detail"]["errors"]] == ["account"]


@pytest.mark.parametrize("source", ["latchkey", "latchkey.requests", "other"])
def test_an_account_of_the_organization_can_send_requests_of_tenants_only(company: Company, source: str) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        company.colleague.send(ONBOARDING, {}, source, company.virginia.bus_arn)


def test_an_account_outside_the_organization_can_send_nothing(company: Company) -> None:
    stranger = Member(company.organization.aws, "777788889999", "us-east-1")
    for bus, source in ((company.virginia.bus_arn, "latchkey.requests.shared"), (company.bus_arn, "latchkey")):
        with pytest.raises(ClientError, match="AccessDenied"):
            stranger.send("Access Onboarded", {}, source, bus)


def test_only_the_rules_of_the_stacks_can_send_to_the_central_bus(company: Company) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        company.colleague.send("Access Onboarded", {}, "latchkey", company.bus_arn)


def test_events_that_the_central_bus_refused_are_replayed(company: Company) -> None:
    events, name = company.organization.central.client("events"), company.bus_arn.rpartition("/")[2]
    policy = events.describe_event_bus(Name=name)["Policy"]
    events.put_permission(EventBusName=name, Policy=json.dumps(json.loads(policy) | {"Statement": []}))
    began, detail = datetime.now(UTC) - timedelta(minutes=1), company.detail(unique("location"))
    own = company.ireland.client("cloudformation")
    resources = {
        found["LogicalResourceId"]: found["PhysicalResourceId"]
        for found in own.describe_stack_resources(StackName="latchkey")["StackResources"]
    }

    company.ireland.send(ONBOARDING, detail)

    letter = until(lambda: _receive(company.ireland, resources["CentralDeadLetters"]), "a dead letter")
    assert letter["detail"]["requestId"] == detail["requestId"]
    assert company.central.of(detail["requestId"]) == []
    events.put_permission(EventBusName=name, Policy=policy)
    replaying = company.ireland.client("events")
    rule = replaying.describe_rule(Name=resources["CentralRule"].rpartition("|")[2], EventBusName="latchkey-requests")["Arn"]
    replaying.start_replay(
        ReplayName=unique("replay"),
        EventSourceArn=replaying.describe_archive(ArchiveName=resources["CentralArchive"])["ArchiveArn"],
        EventStartTime=began,
        EventEndTime=datetime.now(UTC) + timedelta(minutes=1),
        Destination={"Arn": company.ireland.bus_arn, "FilterArns": [rule]},
    )
    assert company.central.wait_for(detail["requestId"])["detail"]["outcomeId"] == letter["detail"]["outcomeId"]


def _create_tenant(member: Member, name: str, *accounts: str, lists: bool = True) -> None:
    document = {"accounts": [*accounts]} if lists else {}
    member.client("ssm").put_parameter(Name=f"/latchkey/tenants/{name}", Type="String", Value=json.dumps(document))


def _receive(member: Member, queue: str) -> Any:
    messages = member.client("sqs").receive_message(QueueUrl=queue).get("Messages", [])
    return json.loads(messages[0]["Body"]) if messages else None


def test_the_central_account_has_no_power_over_the_others(company: Company) -> None:
    central = replace(company.organization.central, region=company.ireland.region)
    with pytest.raises(ClientError, match="AccessDenied"):
        central.send(ONBOARDING, {}, "latchkey.requests", company.ireland.bus_arn)
