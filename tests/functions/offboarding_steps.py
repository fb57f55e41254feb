"""The steps of an offboarding in the order of the state machine, and its outcome."""

from typing import Any

from latchkey.requests.parsing import parse_onboarding
from tests.functions.account import ACCOUNT, REGION, Account
from tests.functions.clean_up_steps import GRANT
from tests.functions.onboarding_requests import Run
from tests.functions.onboarding_steps import Onboarding

MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:offboard-access"


class Offboarding:
    """One offboarding of an access that was onboarded before. `members` are those of the request."""

    def __init__(self, run: Run, access: Onboarding, request_id: str = "offboard-1", **members: Any) -> None:
        self.run, self.access = run, access
        self.access_id = parse_onboarding(access.request).access_id
        self.asked = {"requestId": request_id, "accessId": self.access_id} | members
        self.execution = f"{MACHINE}:{request_id}"
        self.request = access.request | {"requestId": request_id}
        self.common = {"contentHash": request_id.ljust(64, "-"), "eventId": "event-1", "tenant": "default"}

    @property
    def step(self) -> dict[str, Any]:
        return {"request": self.request, "asked": self.asked, "tenant": "default", "executionArn": self.execution}

    def input(self) -> dict[str, Any]:
        """The input of the execution, with its ARN."""
        how = {name: value for name, value in self.asked.items() if name in ("mode", "planHash")}
        content = {
            "requestId": self.asked["requestId"],
            "system": self.request["system"],
            "accessId": self.access_id,
            "request": self.request | how,
            "senderAccount": ACCOUNT,
            "confirms": False,
            "problems": [],
            "kind": "Offboarding Requested",
            "asked": self.asked,
            "resumes": None,
        }
        return content | self.common | {"executionArn": self.execution}

    def check(self, **changes: Any) -> dict[str, Any]:
        return self.run("check_offboarding", self.input() | changes)

    def detach(self) -> dict[str, Any]:
        return self.run("detach_resource", self.step)

    def remove(self) -> dict[str, Any]:
        return self.run("remove_policies", self.step)

    def delete(self) -> dict[str, Any]:
        return self.run("delete_secret", self.step)

    def record(self, **members: Any) -> dict[str, Any]:
        return self.run("record_offboarding", self.step | members)

    def run_through(self) -> dict[str, Any]:
        """Runs all steps, and returns the members of the outcome."""
        self.check()
        if not self.detach()["reads"]:
            self.remove()
            self.delete()
        recorded = self.record()
        result: dict[str, Any] = recorded["result"]
        self.report(recorded)
        return result

    def report(self, recorded: dict[str, Any]) -> dict[str, Any]:
        report = {
            "detailType": "Access Offboarded",
            "requestId": self.asked["requestId"],
            "executionArn": self.execution,
            "system": self.request["system"],
            "accessId": self.access_id,
            "changed": recorded["changed"],
            "result": recorded["result"],
        }
        return self.run("report_outcome", report | self.common)


def service_retires(account: Account, access: Onboarding) -> None:
    """The service retires its grant."""
    for grant in account.kms.list_grants(KeyId=access.key)["Grants"]:
        if grant["Name"] == GRANT:
            account.kms.revoke_grant(KeyId=access.key, GrantId=grant["GrantId"])
