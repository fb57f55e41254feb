"""The demo of an organization: two accounts with two Regions each, a request to each stack, a repair, and a report."""

import json
import time
import uuid
from typing import Any

from rich.console import Console
from rich.table import Table

from local_aws.tools.embedded_aws import Embedded, until
from local_aws.tools.organization import Member, Organization
from local_aws.tools.outcomes import Outcomes

_NAMES, _REGIONS = ("sports", "news"), ("us-east-1", "eu-west-1")


class OrganizationDemo:
    """Reads nothing but the events on the central bus, as the people in a central account do."""

    def __init__(self, aws: Embedded, console: Console) -> None:
        self._aws, self._console, self._start = aws, console, time.monotonic()
        self._organization = Organization(aws)
        self._names: dict[str, str] = {}

    def run(self) -> None:
        self._print("[bold]1. Deploy[/]")
        outputs = self._organization.deploy_central()
        self._events = Outcomes(self._aws, outputs["CentralBusName"])
        self._print(f"central bus of organization {self._organization.id}: {outputs['CentralBusArn']}")
        for name in _NAMES:
            account = self._organization.create_account(name)
            self._names[account] = name
            for region in _REGIONS:
                self._organization.deploy(account, region, outputs["CentralBusArn"])
                self._print(f"deployed Latchkey to account {account} ({name}) in {region}")
        self._print("[bold]2. Send a request to each stack[/]")
        for member in self._organization.members:
            self._onboard(member)
        self._print("[bold]3. Break and repair an access[/]")
        self._repair(self._organization.members[-1])
        self._print("[bold]4. Report[/]")
        self._report()

    def _onboard(self, member: Member) -> None:
        resource = {"sourceLocation": "films", "baseUrl": f"{self._aws.origin_url}/vod", "header": "X-Origin-Token"}
        request_id = f"demo-{uuid.uuid4().hex[:8]}"
        detail = {"requestId": request_id, "system": "mediatailor", "resource": resource | {"secretKey": "token"}}
        member.send("Onboarding Requested", detail)
        event = self._events.wait_for(request_id)
        self._print(f"central bus: [bold]{event['detail-type']}[/] from account {event['account']} in {event['region']}")
        _require(event["detail-type"] == "Access Onboarded", json.dumps(event["detail"], indent=2))

    def _repair(self, member: Member) -> None:
        """Deletes the policy of a secret, and waits until Latchkey has repaired the access."""
        [onboarded] = self._of(member, "Access Onboarded")
        secret = onboarded["detail"]["resources"]["secretArn"]
        member.client("secretsmanager").delete_resource_policy(SecretId=secret)
        self._print(f"deleted the policy of {secret}")
        self._reported(member, "Access Revoked")
        member.send("Reconciliation Requested", {"accessId": onboarded["detail"]["accessId"]})
        repaired = self._reported(member, "Drift Repaired")
        for finding in repaired["detail"]["findings"]:
            self._print(f"  {finding['kind']}: {finding['evidence']}")
        _require(all(check["passed"] for check in repaired["detail"]["checks"]), "a check failed")
        self._reported(member, "Reconciliation Completed")

    def _reported(self, member: Member, kind: str) -> dict[str, Any]:
        event = until(lambda: self._of(member, kind), kind)[0]
        self._print(f"central bus: [bold]{kind}[/] from account {event['account']} in {event['region']}")
        return event

    def _of(self, member: Member, kind: str) -> list[dict[str, Any]]:
        place = (member.account, member.region, kind)
        return [event for event in self._events.all() if (event["account"], event["region"], event["detail-type"]) == place]

    def _report(self) -> None:
        """Prints the last status of each access with the number of its events, from the events of the central bus alone."""
        table = Table("account", "Region", "access", "status", "last event", "events", box=None, padding=(0, 2))
        for member in self._organization.members:
            events = [one for one in self._events.all() if (one["account"], one["region"]) == (member.account, member.region)]
            # The status of a reconciliation is not that of an access.
            last = [event for event in events if event["detail-type"] != "Reconciliation Completed"][-1]
            name = f"{member.account} ({self._names[member.account]})"
            detail = last["detail"]
            table.add_row(name, member.region, detail["accessId"], detail["status"], last["detail-type"], str(len(events)))
            _require(detail["status"] == "active", json.dumps(detail, indent=2))
        self._console.print(table)

    def _print(self, text: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._start:6.1f} s[/]  {text}", highlight=False)


def _require(holds: bool, failure: str) -> None:
    if not holds:
        raise SystemExit(f"demo-org: failed: {failure}")


def main() -> None:
    console = Console(width=None if Console().is_terminal else 200, emoji=False)
    with Embedded() as aws:
        OrganizationDemo(aws, console).run()
    console.print("demo-org: ok", highlight=False)
