"""Every AWS call of a rotation fails once in every way: the current token works on, and the next request succeeds.

With WHOLE=1, each call fails in each way. Without it, the ways alternate over a sample of the calls.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from latchkey.errors import InvalidRequest, LatchkeyError
from latchkey.registry import registry
from latchkey.registry.requests import RequestRef
from tests.functions.account import Account
from tests.functions.call_faults import CallFaults, Machine, Table, combinations
from tests.functions.onboarding_requests import Run
from tests.functions.rotation_steps import Rotation
from tests.sampling import WHOLE

pytestmark = [pytest.mark.usefixtures("any_origin_host"), pytest.mark.timeout(0 if WHOLE else 300)]
# By flow: the system, the members of its request, and how many calls one failure stands for without WHOLE.
FLOWS: dict[str, tuple[str, dict[str, Any], int]] = {
    "pending": ("mediatailor", {}, 4),
    "confirmed": ("mediatailor", {"emergency": True}, 5),
    "withdrawn": ("mediatailor", {}, 4),
    "at once": ("mediapackage", {"emergency": True}, 6),
    "applied": ("mediaconnect", {"acceptsInterruption": True}, 6),
}
SUCCESS = {"pending": "Token Pending", "withdrawn": "Rotation Withdrawn"}


class Flow:
    """Requests for the rotation of one access, each of which finds the secret as the one before has left it."""

    def __init__(self, run: Run, account: Account, kind: str) -> None:
        system, self._asked, _ = FLOWS[kind]
        self.kind, self._run, self._account, self._machine = kind, run, account, Machine(account)
        self.rotation = Rotation(run, account, system)
        self._policies = self._read_policies()

    def prepare(self, name: str) -> None:
        """Leaves a rotation pending if the request is about one."""
        if self.kind in ("confirmed", "withdrawn"):
            assert self._send("Rotation Requested", f"first-{name}", **self._asked) == "Token Pending"
        self.before, self.former = self.rotation.labels, self.rotation.text()

    def send(self, name: str) -> str:
        """Sends the request, and returns the type of its outcome."""
        if self.kind == "confirmed":
            return self._send("Rotation Confirmed", name)
        return self._send("Rotation Requested", name, **({"withdraw": True} if self.kind == "withdrawn" else self._asked))

    def _send(self, kind: str, name: str, **asked: Any) -> str:
        attempt, rotation = self._machine.attempt, self.rotation
        rotation.begin(kind, name, **asked)
        try:
            plan = attempt(rotation.check)
        except InvalidRequest as error:
            return self._report("Request Rejected", caught=_caught(error))
        except LatchkeyError as error:
            return self._roll_back(error)
        try:
            recorded = self._carry_out(plan)
        except LatchkeyError as error:
            return self._roll_back(error)
        return self._report(recorded["detailType"], result=recorded["result"], changed=True, checks=[])

    def _carry_out(self, plan: dict[str, Any]) -> dict[str, Any]:
        attempt, rotation = self._machine.attempt, self.rotation
        if plan["withdraws"]:
            attempt(rotation.withdraw)
            return attempt(lambda: rotation.record("withdrawn"))
        if not plan["promotes"]:
            attempt(rotation.stage)
            if plan["waits"]:
                return attempt(lambda: rotation.record("pending"))
        attempt(rotation.promote)
        if plan["revokes"]:
            attempt(lambda: rotation.stage(again=True))
            attempt(lambda: rotation.promote(again=True))
        if plan["isApplied"]:
            attempt(rotation.apply)
        return attempt(lambda: rotation.record("rotated"))

    def _roll_back(self, error: LatchkeyError) -> str:
        undone = self._machine.attempt(self.rotation.undo)["undone"]
        return self._report("Request Failed", caught=_caught(error), undone=undone, changed=False)

    def _report(self, detail_type: str, **members: Any) -> str:
        event = {name: self.rotation.event[name] for name in ("requestId", "contentHash", "eventId", "system", "accessId")}
        event |= {"executionArn": self.rotation.execution, "tenant": "default", "detailType": detail_type}
        try:
            return str(self._machine.attempt(lambda: self._run("report_outcome", event | members))["detailType"])
        except LatchkeyError as error:
            return self._roll_back(error) if self._is_lost(event) else self._report(detail_type, **members)

    def _is_lost(self, event: dict[str, Any]) -> bool:
        """Whether a success is not recorded, so that end-request rolls the request back. It only repeats any other report."""
        ref = RequestRef(event["requestId"], event["contentHash"], event["tenant"])
        failed = event["detailType"] in ("Request Rejected", "Request Failed")
        return not failed and registry().requests.recorded_outcome(ref) is None

    def keeps_invariants(self, outcome: str, why: str) -> None:
        """The current version is one that clients know, nothing else changed, and neither lock nor journal is left."""
        rotation, found = self.rotation, self.rotation.labels
        phase = registry().phases.get(rotation.access_id)
        assert registry().locks.holder(rotation.access_id) is None, why
        assert self._account.items("journal") == [], why
        assert self._read_policies() == self._policies, why
        if outcome == "Token Rotated":
            assert phase is None, why
            assert found["AWSCURRENT"] not in self.before.values() or self.kind == "confirmed", why
            assert found["AWSCURRENT"] != self.before["AWSCURRENT"], why
            assert rotation.text() != self.former, why
            return
        assert (found["AWSCURRENT"], rotation.text()) == (self.before["AWSCURRENT"], self.former), why
        if outcome == "Token Pending":
            assert phase, why
            assert phase.facts["isPending"] is True, why
            assert found["AWSPENDING"] == phase.facts["version"], why
        elif outcome == "Rotation Withdrawn":
            assert (phase, "AWSPENDING" in found) == (None, False), why
        elif self.kind in ("confirmed", "withdrawn"):
            assert phase, why
            assert phase.facts["isPending"] is True, why
            assert found == self.before or self.kind == "withdrawn", why
        else:
            assert (phase, found) == (None, self.before), why

    def finish(self, outcome: str, name: str, why: str) -> None:
        """Sends the request again if it failed, and ends a rotation that it has left pending."""
        if outcome not in ("Token Pending", "Token Rotated", "Rotation Withdrawn"):
            outcome = self.send(f"again-{name}")
            assert outcome == SUCCESS.get(self.kind, "Token Rotated"), why
        if outcome == "Token Pending":
            assert self._send("Rotation Requested", f"end-{name}", withdraw=True) == "Rotation Withdrawn", why

    def _read_policies(self) -> Any:
        found = self._account.secretsmanager.get_resource_policy(SecretId=self.rotation.secret)
        return found.get("ResourcePolicy")


def _caught(error: LatchkeyError) -> dict[str, str]:
    cause = {"errorMessage": str(error), "errorType": type(error).__name__}
    return {"Error": type(error).__name__, "Cause": json.dumps(cause)}


@pytest.mark.parametrize("kind", FLOWS)
def test_a_rotation_with_one_failed_call_keeps_the_token_that_clients_have(
    run: Run, account: Account, faults: CallFaults, kind: str
) -> None:
    flow, table = Flow(run, account, kind), Table(f"rotation: {kind}")
    flow.prepare("count")
    faults.disarm()
    outcome = flow.send("count")
    calls = faults.calls
    assert outcome == SUCCESS.get(kind, "Token Rotated")
    flow.keeps_invariants(outcome, "without a failure")
    flow.finish(outcome, "count", "without a failure")
    for number, (fault, call) in enumerate(combinations(calls, FLOWS[kind][2])):
        flow.prepare(str(number))
        faults.arm(fault, call)
        outcome = flow.send(str(number))
        why = f"{fault.name}, call {call}, {faults.met}: {outcome}"
        faults.disarm()
        table.add(fault, faults.met, outcome)
        flow.keeps_invariants(outcome, why)
        flow.finish(outcome, str(number), why)
