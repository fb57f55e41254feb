"""Every AWS call of an offboarding and of a restoration fails once in every way, and the next request finishes what is left.

With WHOLE=1, each call fails in each way. Without it, the ways alternate over a sample of the calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from latchkey.errors import LatchkeyError
from latchkey.registry import registry
from latchkey.requests.parsing import parse_onboarding
from tests.functions.account import Account
from tests.functions.call_faults import CallFaults, Machine, Table, combinations
from tests.functions.offboarding_steps import Offboarding
from tests.functions.onboarding_requests import EXECUTION, Run, check_event, existing
from tests.functions.onboarding_steps import Onboarding
from tests.sampling import WHOLE

pytestmark = [pytest.mark.usefixtures("any_origin_host"), pytest.mark.timeout(0 if WHOLE else 300)]


@dataclass
class Case:
    """One access with what it can share, and the way in which its request fails."""

    run: Run
    account: Account
    name: str
    shape: str

    def __post_init__(self) -> None:
        key = {"alias": f"alias/latchkey/{self.name}"}
        members: dict[str, Any] = {"requestId": self.name, "key": key}
        if self.shape == "mediapackagev2":
            self.account.mediapackagev2.add(f"sports/one/{self.name}")
            members |= {"system": self.shape, "resource": {"originEndpoint": self.name}}
        else:
            members["resource"] = {"sourceLocation": self.name}
        if self.shape == "adopted":
            value = '{"MyAccessTokenIdentifier": "not-a-real-token"}'
            members["secret"] = existing(self.account.secret(f"theirs/{self.name}", value))
        self.access = Onboarding(self.run, self.account, **members).run_through("record_access")
        self.access_id = parse_onboarding(self.access.request).access_id
        self.other: Onboarding | None = None
        if self.shape == "shared":
            self.account.secretsmanager.tag_resource(
                SecretId=self.access.secret, Tags=[{"Key": "latchkey:consent", "Value": "adopt"}]
            )
            sharing = {"resource": {"sourceLocation": f"{self.name}-other"}, "secret": existing(self.access.secret), "key": key}
            self.other = Onboarding(self.run, self.account, requestId=f"{self.name}-other", **sharing)
            self.other.run_through("record_access")
        self.in_service, self.policies = self.reads(), self.shared_policies()

    def reads(self) -> Any:
        """What makes the resource read the secret, or None if nothing does."""
        if self.shape == "mediapackagev2":
            return self.account.mediapackagev2.endpoints[f"sports/one/{self.name}"].get("CdnAuthConfiguration") or None
        return self.account.mediatailor.locations[self.name].get("AccessConfiguration") or None

    def shared_policies(self) -> Any:
        """The policies that the other access needs."""
        if self.other is None:
            return None
        key = self.account.kms.get_key_policy(KeyId=self.access.key, PolicyName="default")["Policy"]
        return key, self.account.secretsmanager.get_resource_policy(SecretId=self.access.secret).get("ResourcePolicy")

    @property
    def state(self) -> str:
        return str(registry().phases.state(self.access_id))

    @property
    def is_deleted(self) -> bool:
        return "DeletedDate" in self.account.secretsmanager.describe_secret(SecretId=self.access.secret)

    @property
    def deletes(self) -> bool:
        """Whether the secret is to be deleted."""
        return self.shape in ("own", "mediapackagev2")

    def keeps_invariants(self, why: str) -> None:
        """A secret that a resource reads is not deleted, the other access keeps everything, and nobody holds the lock."""
        assert not (self.reads() and self.is_deleted), why
        assert not self.is_deleted or self.deletes, why
        assert self.shared_policies() == self.policies or self.deletes or self.shape == "adopted", why
        assert registry().locks.holder(self.access_id) is None, why

    def is_offboarded(self, why: str) -> None:
        assert (self.state, self.reads(), self.is_deleted) == ("offboarded", None, self.deletes), why
        assert self.account.items("journal") == [], why
        key = self.account.items("resource")
        referring = [item["id"]["S"] for item in key if self.access_id in item.get("accesses", {}).get("SS", ())]
        assert [one for one in referring if one.startswith(("secret ", "arn:aws:kms", "arn:aws:iam"))] == [], why

    def is_in_service(self, why: str) -> None:
        assert (self.state, self.reads(), self.is_deleted) == ("active", self.in_service, False), why
        assert self.account.items("journal") == [], why


def offboard(case: Case, machine: Machine, request_id: str) -> tuple[str, bool]:
    """Carries out an offboarding, and returns the type of its outcome and whether it changed anything."""
    offboarding = Offboarding(case.run, case.access, request_id, recoveryDays=7)
    try:
        machine.attempt(offboarding.check)
        if not machine.attempt(offboarding.detach)["reads"]:
            machine.attempt(offboarding.remove)
            machine.attempt(offboarding.delete)
        recorded = machine.attempt(offboarding.record)
    except LatchkeyError as error:
        caught = {"Error": type(error).__name__, "Cause": '{"errorMessage": "injected"}'}
        try:
            changed = bool(machine.attempt(lambda: offboarding.record(failed=True))["changed"])
        except LatchkeyError:
            changed = True
        failure = {"detailType": "Request Failed", "caught": caught, "changed": changed, "result": {}}
        return _report(case, machine, offboarding, failure), changed
    machine.report(lambda: offboarding.report(recorded))
    return "Access Offboarded", bool(recorded["changed"])


def _report(case: Case, machine: Machine, offboarding: Offboarding, failure: dict[str, Any]) -> str:
    report = {
        "requestId": offboarding.asked["requestId"],
        "executionArn": offboarding.execution,
        "system": offboarding.request["system"],
        "accessId": case.access_id,
    }
    event = report | {name: value for name, value in failure.items() if name != "result"} | offboarding.common
    machine.report(lambda: case.run("report_outcome", event))
    return "Request Failed"


class Restoration:
    """The steps of a restoration in the order of the state machine, and their rollback."""

    def __init__(self, case: Case, machine: Machine, request_id: str) -> None:
        self.case, self.machine, self.request_id = case, machine, request_id
        self.execution = f"{EXECUTION}-{request_id}"
        self.request = case.access.request | {"requestId": request_id}
        self.common = {"contentHash": request_id.ljust(64, "-"), "eventId": "event-1", "tenant": "default"}

    def _step(self, **members: Any) -> dict[str, Any]:
        return {"request": self.request, "tenant": "default", "executionArn": self.execution} | members

    def _run(self, verb: str, event: dict[str, Any]) -> dict[str, Any]:
        return self.machine.attempt(lambda: self.case.run(verb, event))

    def _check(self) -> dict[str, Any]:
        asked = {"requestId": self.request_id, "accessId": self.case.access_id}
        known = {"executionArn": self.execution, "kind": "Restoration Requested", "accessId": self.case.access_id}
        return self._run("check_request", check_event(self.request, asked=asked, **known) | self.common)

    def carry_out(self) -> str:
        """Returns the type of the outcome."""
        try:
            checked = self._check()
            if checked["restores"]:
                self._run("restore_access", self._step())
                checked = self._check()
            key = self._run("create_key", self._step())["arn"]
            common = self._step(key={"arn": key, "changed": False}, secretArn=self.case.access.secret)
            if checked["needsSecret"]:
                self._run("create_secret", self._step(key=common["key"], ownSecretArn=checked["ownSecretArn"]))
            self._run("attach_policies", common)
            resource = self._run("configure_access", common)["arn"]
            resources = {"keyArn": key, "secretArn": self.case.access.secret, "resourceArn": resource}
            self._run("record_access", self._step(resources=resources, status="active"))
        except LatchkeyError as error:
            caught = {"Error": type(error).__name__, "Cause": '{"errorMessage": "injected"}'}
            undone = self._undo()
            self._report({"detailType": "Request Failed", "caught": caught, "undone": undone["undone"], "changed": False})
            return "Request Failed"
        checks = [{"name": "key is enabled", "passed": True, "evidence": f"{key} is Enabled", "result": "passed"}]
        self._report({"detailType": "Access Onboarded", "resources": resources, "checks": checks, "changed": True})
        return "Access Onboarded"

    def _undo(self) -> dict[str, Any]:
        """Rolls the request back. If the state machine cannot, the sweep tries again."""
        try:
            return self._run("undo_onboarding", self._step())
        except LatchkeyError:
            self.machine.end_leases()
            return self._run("undo_onboarding", self._step())

    def _report(self, members: dict[str, Any]) -> None:
        report = {
            "requestId": self.request_id,
            "executionArn": self.execution,
            "system": self.request["system"],
            "accessId": self.case.access_id,
        }
        self.machine.report(lambda: self.case.run("report_outcome", report | members | self.common))


SHAPES = ("own", "shared", "adopted", "mediapackagev2")
# Without WHOLE, every n-th call fails.
ONE_IN = {"own": 16, "shared": 24, "adopted": 30, "mediapackagev2": 24}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_offboarding_with_one_failed_call_keeps_every_invariant_and_is_finished_by_the_next(
    run: Run, account: Account, faults: CallFaults, shape: str
) -> None:
    machine, table = Machine(account), Table(f"offboarding of {shape}")
    first = Case(run, account, "first", shape)
    faults.disarm()
    assert offboard(first, machine, "first-offboard") == ("Access Offboarded", True)
    calls = faults.calls
    first.is_offboarded("without a failure")
    account.mediatailor.locations.clear()
    for number, (fault, call) in enumerate(combinations(calls, ONE_IN[shape])):
        case = Case(run, account, f"case-{number}", shape)
        faults.arm(fault, call)
        outcome, changed = offboard(case, machine, f"offboard-{number}")
        why = f"{fault.name}, call {call}, {faults.met}: {outcome}"
        faults.disarm()
        machine.end_leases()
        assert faults.met, f"no call {call}"
        table.add(fault, faults.met, outcome if outcome != "Request Failed" else f"{outcome}, changed: {changed}")
        case.keeps_invariants(why)
        if outcome == "Access Offboarded":
            case.is_offboarded(why)
        elif not changed:
            case.is_in_service(why)
        assert offboard(case, machine, f"again-{number}")[0] == "Access Offboarded", why
        case.is_offboarded(why)
        case.keeps_invariants(why)
        account.mediatailor.locations.clear()  # the service lists all of them, one on a page


@pytest.mark.parametrize("shape", SHAPES)
def test_a_restoration_with_one_failed_call_restores_everything_or_nothing(
    run: Run, account: Account, faults: CallFaults, shape: str
) -> None:
    machine, table = Machine(account), Table(f"restoration of {shape}")
    first = Case(run, account, "first", shape)
    assert offboard(first, machine, "first-offboard")[0] == "Access Offboarded"
    faults.disarm()
    assert Restoration(first, machine, "first-restore").carry_out() == "Access Onboarded"
    calls = faults.calls
    first.is_in_service("without a failure")
    account.mediatailor.locations.clear()
    for number, (fault, call) in enumerate(combinations(calls, 2 * ONE_IN[shape])):
        case = Case(run, account, f"case-{number}", shape)
        assert offboard(case, machine, f"offboard-{number}")[0] == "Access Offboarded"
        faults.arm(fault, call)
        outcome = Restoration(case, machine, f"restore-{number}").carry_out()
        why = f"{fault.name}, call {call}, {faults.met}: {outcome}"
        faults.disarm()
        machine.end_leases()
        table.add(fault, faults.met, outcome)
        case.keeps_invariants(why)
        if outcome != "Access Onboarded":
            case.is_offboarded(why)
            assert Restoration(case, machine, f"again-{number}").carry_out() == "Access Onboarded", why
        case.is_in_service(why)
        account.mediatailor.locations.clear()
