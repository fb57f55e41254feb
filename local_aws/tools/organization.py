"""An organization on the embedded AWS: an account with the central bus, and accounts with a Latchkey stack in a Region."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from local_aws.emulator.account import ACCOUNT
from local_aws.tools import deployment
from local_aws.tools.embedded_aws import REPOSITORY, STACK, Embedded, root_credentials, session, until
from local_aws.tools.outcomes import BUS

CENTRAL_STACK = "latchkey-central"


@dataclass(frozen=True)
class Member:
    """An account of the organization in one Region. Clients have the credentials of the root user of the account."""

    aws: Embedded
    account: str
    region: str

    def client(self, service: str) -> Any:
        root: Any = session(root_credentials(self.account), self.region)
        return root.client(service, endpoint_url=self.aws.url)

    @property
    def bus_arn(self) -> str:
        return f"arn:aws:events:{self.region}:{self.account}:event-bus/{BUS}"

    def outputs(self, stack: str = STACK) -> dict[str, str]:
        """The outputs of a stack in this account."""
        [found] = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}

    def send(self, kind: str, detail: dict[str, Any], source: str = "latchkey.requests", bus: str = BUS) -> str:
        """Sends a request to a bus, which is that of this account by default, and returns the id of its event."""
        entry = {"EventBusName": bus, "Source": source, "DetailType": kind, "Detail": json.dumps(detail)}
        answer = self.client("events").put_events(Entries=[entry])
        if answer["FailedEntryCount"]:
            raise AssertionError(f"the event bus {bus} refused an event: {answer['Entries']}")
        return str(answer["Entries"][0]["EventId"])


@dataclass
class Organization:
    """The account of the emulator is the management account, and the central account of Latchkey."""

    aws: Embedded
    members: list[Member] = field(default_factory=list)

    @property
    def id(self) -> str:
        return str(self.aws.client("organizations").describe_organization()["Organization"]["Id"])

    @property
    def central(self) -> Member:
        return Member(self.aws, ACCOUNT, "us-east-1")

    def create_account(self, name: str) -> str:
        """Returns the number of a new account."""
        created = self.aws.client("organizations").create_account(Email=f"{name}@example.com", AccountName=name)
        return str(created["CreateAccountStatus"]["AccountId"])

    def deploy_central(self) -> dict[str, str]:
        """Deploys central.yaml to the central account, and returns its outputs."""
        client = self.central.client("cloudformation")
        client.create_stack(
            StackName=CENTRAL_STACK,
            TemplateBody=(REPOSITORY / "central.yaml").read_text(),
            Parameters=[{"ParameterKey": "OrganizationId", "ParameterValue": self.id}],
        )

        def is_created() -> bool:
            [stack] = client.describe_stacks(StackName=CENTRAL_STACK)["Stacks"]
            if stack["StackStatus"].endswith(("FAILED", "ROLLBACK_COMPLETE")):
                raise AssertionError(f"{CENTRAL_STACK}: {stack.get('StackStatusReason')}")
            return bool(stack["StackStatus"] == "CREATE_COMPLETE")

        until(is_created, f"the stack {CENTRAL_STACK}")
        return self.central.outputs(CENTRAL_STACK)

    def deploy(self, account: str, region: str, central_bus_arn: str) -> Member:
        """Deploys the built template to an account and Region. It repairs accesses, and its events go to the central bus."""
        service_role = f"arn:aws:iam::{account}:role/aws-service-role/mediatailor.amazonaws.com/AWSServiceRoleForMediaTailor"
        parameters = {
            "OrganizationId": self.id,
            "CentralBusArn": central_bus_arn,
            "AcceptedGrantees": service_role,
            "RemediationMode": "repair",
            "TrustedPrincipalPatterns": f"arn:aws:iam::{account}:role/*",
        }
        deployment.deploy(self.aws.url, account, region, parameters)
        member = Member(self.aws, account, region)
        self.members.append(member)
        return member
