"""Every API call of a rotation fails in every way: the current token works on, and the next request succeeds.

`make faults` injects every kind of failure at every call. Without it, the kinds alternate over a sample with a call of every
function in every loop.
"""

from __future__ import annotations

import secrets

import pytest

from tests.sampling import WHOLE, one_in
from tests.workflow.consumer_resources import CONSUMERS
from tests.workflow.fault_injection import (
    ANY,
    BROKEN,
    BROKEN_AFTER,
    DENIED,
    DENIED_ONCE,
    FINAL,
    FINAL_BEFORE,
    KILLED,
    KILLED_BEFORE,
    THROTTLED,
    THROTTLED_ONCE,
    TIMED_OUT,
    UNDO,
    WORK,
    Detail,
    FaultInjection,
    FaultRun,
    Kind,
    profile,
)
from tests.workflow.rotations import Rotations

pytestmark = [pytest.mark.long, pytest.mark.timeout(0 if WHOLE else 900)]
# A permanent failure after the new version has become the current one.
PROMOTED: Detail = {
    "service": "secretsmanager",
    "operation": "UpdateSecretVersionStage",
    "caller": "latchkey-Promote",
    "error": "SomethingInvalid",
    "when": "after",
}


class Rotating:
    """Requests for the rotation of one access, each of which finds the secret as the one before has left it."""

    def __init__(self, faults: FaultInjection, kind: str) -> None:
        self._faults, self._kind, self.rotations = faults, kind, Rotations(faults)
        detail = faults.detail() if kind != "at once" else CONSUMERS["mediaconnect-output"](faults.aws).detail
        made = faults.onboard(detail)
        self.access_id, self.secret_arn = made["accessId"], made["resources"]["secretArn"]

    def next(self) -> Detail:
        """The next request. A confirmation is preceded by a rotation that waits for it."""
        if self._kind == "confirmed":
            self.rotations.stage(self.access_id, emergency=True)
        self.before, self.account = self.labels(), self._faults.account_snapshot()
        return self.request()

    def request(self) -> Detail:
        name = {"pending": "rotation", "confirmed": "confirmation", "at once": "rotation"}[self._kind]
        members = {"acceptsInterruption": True} if self._kind == "at once" else {}
        return {"requestId": f"{name}-{secrets.token_hex(6)}", "accessId": self.access_id} | members

    def labels(self) -> dict[str, str]:
        return self.rotations.labels(self.secret_arn)

    def has_kept_invariants(self, run: FaultRun) -> None:
        """One outcome, no lock, no journal and no other change in the account, and a current version that clients know."""
        faults = self._faults
        assert len({event["detail"]["outcomeId"] for event in faults.outcomes.of(run.detail["requestId"])}) == 1, str(run)
        assert faults.account_snapshot() == self.account, str(run)
        assert faults.journal() == [], str(run)
        item = faults.item("access", self.access_id)
        assert "running" not in item, str(run)
        phase = item.get("phase", {}).get("S")
        labels = self.labels()
        if run.outcome == "Token Rotated":
            assert phase is None, str(run)
            known = {self.before.get("AWSPENDING")} if self._kind == "confirmed" else set()
            assert labels["AWSCURRENT"] != self.before["AWSCURRENT"], str(run)
            assert labels["AWSPREVIOUS"] in {self.before["AWSCURRENT"], *known}, str(run)
        elif run.outcome == "Token Pending":
            assert (phase, labels["AWSCURRENT"]) == ("rotating", self.before["AWSCURRENT"]), str(run)
        else:
            assert run.event["detail"]["changed"] is False, str(run)
            assert labels == self.before, str(run)
            assert phase == ("rotating" if self._kind == "confirmed" else None), str(run)

    def go_on(self, run: FaultRun) -> None:
        """Ends what the request has left, which a person would do as well, and shows that the next request succeeds."""
        if run.outcome == "Token Pending":
            self.rotations.withdraw(self.access_id)
        elif run.outcome != "Token Rotated" and self._kind == "confirmed":
            self.rotations.confirm(self.access_id)
        elif run.outcome != "Token Rotated" and self._kind == "at once":
            self.rotations.rotate(self.access_id, acceptsInterruption=True)
        elif run.outcome != "Token Rotated":
            self.rotations.stage(self.access_id)
            self.rotations.withdraw(self.access_id)

    def clear(self) -> None:
        """Ends a rotation that the first request, which no fault hits, has left pending."""
        if self._faults.item("access", self.access_id).get("phase"):
            self.rotations.request(self.access_id, withdraw=True)


# tests/functions/test_rotation_call_faults.py covers all of them without the state machine.
KINDS = ["pending", "confirmed", "at once"] if WHOLE else ["confirmed"]


@pytest.mark.parametrize("kinds", profile(FINAL, DENIED, FINAL_BEFORE, THROTTLED))
@pytest.mark.parametrize("kind", KINDS)
def test_permanent_failure_of_a_rotation_leaves_the_current_token(
    fault_injection: FaultInjection, kind: str, kinds: tuple[Kind, ...]
) -> None:
    rotating = Rotating(fault_injection, kind)
    calls = fault_injection.calls(WORK, rotating.next())
    rotating.clear()
    for run in fault_injection.each_call(kinds, calls, one_in(24), rotating.next):
        rotating.has_kept_invariants(run)
        rotating.go_on(run)


@pytest.mark.parametrize("kinds", profile(THROTTLED_ONCE, KILLED, BROKEN_AFTER, KILLED_BEFORE, TIMED_OUT, BROKEN))
@pytest.mark.parametrize("kind", KINDS)
def test_transient_failure_of_a_rotation_is_retried(
    fault_injection: FaultInjection, kind: str, kinds: tuple[Kind, ...]
) -> None:
    rotating = Rotating(fault_injection, kind)
    calls = fault_injection.calls(ANY, rotating.next())
    rotating.clear()
    for run in fault_injection.each_call(kinds, calls, one_in(24), rotating.next):
        assert run.outcome == ("Token Pending" if kind == "pending" else "Token Rotated"), str(run)
        rotating.has_kept_invariants(run)
        rotating.go_on(run)


@pytest.mark.parametrize("kinds", profile(KILLED, BROKEN, FINAL, DENIED_ONCE, TIMED_OUT, KILLED_BEFORE))
def test_interrupted_rollback_of_a_rotation_is_finished(fault_injection: FaultInjection, kinds: tuple[Kind, ...]) -> None:
    rotating = Rotating(fault_injection, "confirmed")
    calls = fault_injection.calls(UNDO, rotating.next(), PROMOTED)
    rotating.clear()
    for run in fault_injection.each_call(kinds, calls, one_in(8), rotating.next, PROMOTED):
        assert run.outcome == "Request Failed", str(run)
        rotating.has_kept_invariants(run)
        rotating.go_on(run)
