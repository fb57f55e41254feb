"""Every API call of an onboarding fails in every way: one outcome, nothing left, others unaffected, the next request succeeds.

`make faults` injects every kind of failure at every call. Without it, the kinds alternate over a sample in which every fourth
call of a request for MediaTailor fails at least once, and a call of every function in every loop.
"""

import json
import secrets
from typing import Any

import pytest

from tests.sampling import WHOLE, one_in
from tests.workflow.consumer_resources import CONSUMERS, NOTHING_LEFT, left
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
    LATE,
    NOTHING,
    OFFBOARDING,
    REPORT,
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
from tests.workflow.onboarding import MEMBER, ORIGIN

pytestmark = [pytest.mark.long, pytest.mark.timeout(0 if WHOLE else 900)]  # a busy machine needs several minutes for one test


def _has_one_outcome(fault_injection: FaultInjection, run: FaultRun) -> None:
    result = {event["detail"]["outcomeId"] for event in fault_injection.outcomes.of(run.detail["requestId"])}
    assert len(result) == 1, str(run)


def _reports_the_fault(run: FaultRun) -> None:
    """Asserts that the failure names the call. A key that cannot be described violates a rule of the request instead."""
    result = run.event["detail"]
    assert result["changed"] is False, str(run)
    if run.outcome == "Request Rejected":
        assert (run.kind, run.operation) == (DENIED, "kms DescribeKey"), str(run)
        assert [error["place"] for error in result["errors"]] == ["key.alias"]
    else:
        assert run.outcome == "Request Failed", str(run)
        assert run.operation.split()[1] in result["failure"]["message"], str(run)


@pytest.mark.parametrize("kinds", profile(FINAL, DENIED, THROTTLED, FINAL_BEFORE))
def test_permanent_failure_is_rolled_back_and_the_next_request_succeeds(
    fault_injection: FaultInjection, kinds: tuple[Kind, ...]
) -> None:
    calls = fault_injection.calls(WORK, fault_injection.detail())
    for run in fault_injection.each_call(kinds, calls, one_in(8), fault_injection.detail):
        _has_one_outcome(fault_injection, run)
        if run.outcome != "Access Onboarded":
            _reports_the_fault(run)
            assert fault_injection.left(run.detail) == NOTHING, str(run)
            assert fault_injection.again(run)["status"] == "active"


class _Consumers:
    """Creates an endpoint that reads through a role for each request. The settings of its owner must remain."""

    def __init__(self, fault_injection: FaultInjection) -> None:
        self._fault_injection = fault_injection
        fault_injection.aws.control("PUT", "assumptions", {"omittedOnPut": "clear"})

    def next(self) -> Detail:
        self.consumer = CONSUMERS["mediapackagev2"](self._fault_injection.aws)
        self.before = self.consumer.settings()
        return self.consumer.detail


@pytest.mark.parametrize("kinds", profile(FINAL, DENIED, FINAL_BEFORE, THROTTLED))
def test_permanent_failure_with_a_reader_role_is_rolled_back(fault_injection: FaultInjection, kinds: tuple[Kind, ...]) -> None:
    consumers = _Consumers(fault_injection)
    calls = fault_injection.calls(WORK, consumers.next())
    for run in fault_injection.each_call(kinds, calls, one_in(24), consumers.next):
        _has_one_outcome(fault_injection, run)
        if run.outcome != "Access Onboarded":
            _reports_the_fault(run)
            assert consumers.consumer.settings() == consumers.before, str(run)
            assert left(fault_injection, consumers.consumer) == NOTHING_LEFT, str(run)
            assert fault_injection.again(run)["status"] == "active"


@pytest.mark.parametrize("kinds", profile(THROTTLED_ONCE, KILLED, BROKEN_AFTER, KILLED_BEFORE, TIMED_OUT, BROKEN))
def test_transient_failure_with_a_reader_role_is_retried(fault_injection: FaultInjection, kinds: tuple[Kind, ...]) -> None:
    consumers = _Consumers(fault_injection)
    calls = fault_injection.calls(ANY, consumers.next())
    for run in fault_injection.each_call(kinds, calls, one_in(24, begin=12), consumers.next):
        _has_one_outcome(fault_injection, run)
        assert run.outcome == "Access Onboarded", str(run)


@pytest.mark.parametrize("kinds", profile(THROTTLED_ONCE, KILLED, BROKEN_AFTER, KILLED_BEFORE, TIMED_OUT, BROKEN))
def test_transient_failure_is_retried(fault_injection: FaultInjection, kinds: tuple[Kind, ...]) -> None:
    calls = fault_injection.calls(ANY, fault_injection.detail())
    for run in fault_injection.each_call(kinds, calls, one_in(8, begin=4), fault_injection.detail):
        _has_one_outcome(fault_injection, run)
        assert run.outcome == "Access Onboarded", str(run)


@pytest.mark.parametrize("kinds", profile(DENIED_ONCE, FINAL))
@pytest.mark.parametrize("others", [(), (LATE,)], ids=["success", "failure"])
def test_outcome_is_published_despite_one_failure_of_its_report(
    fault_injection: FaultInjection, kinds: tuple[Kind, ...], others: tuple[Detail, ...]
) -> None:
    calls = fault_injection.calls(REPORT, fault_injection.detail(), *others)
    for run in fault_injection.each_call(kinds, calls, one_in(4), fault_injection.detail, *others):
        _has_one_outcome(fault_injection, run)
        assert run.outcome == ("Request Failed" if others else "Access Onboarded"), str(run)
        assert fault_injection.again(run)["status"] == ("active" if others else "unchanged")


@pytest.mark.parametrize("kinds", profile(KILLED, BROKEN, FINAL, DENIED_ONCE, TIMED_OUT, KILLED_BEFORE))
def test_interrupted_undo_is_finished_and_reported_completely(fault_injection: FaultInjection, kinds: tuple[Kind, ...]) -> None:
    calls = fault_injection.calls(UNDO, fault_injection.detail(), LATE)
    for run in fault_injection.each_call(kinds, calls, one_in(6), fault_injection.detail, LATE):
        _has_one_outcome(fault_injection, run)
        assert run.outcome == "Request Failed", str(run)
        assert run.event["detail"]["changed"] is False, str(run)
        undone = run.event["detail"]["undone"]
        parts = [part for text in undone for part in (":key/", ":secret:", "sourceLocation/") if part in text]
        assert sorted(parts) == [":key/", ":secret:", "sourceLocation/"], str(run)
        assert fault_injection.left(run.detail) == NOTHING, str(run)
        assert fault_injection.again(run)["status"] == "active"


def _planned(fault_injection: FaultInjection) -> Detail:
    return fault_injection.detail(mode="plan")


# The others do the same for every request. What cannot be reported is reported by end-request.
_PLAN, _PLAN_AND_REPORT = "latchkey-Plan", "latchkey-(Plan|Report)"


@pytest.mark.parametrize("kinds", profile(FINAL, DENIED, FINAL_BEFORE, THROTTLED))
def test_permanent_failure_of_a_plan_changes_nothing(fault_injection: FaultInjection, kinds: tuple[Kind, ...]) -> None:
    calls = fault_injection.calls(_PLAN, _planned(fault_injection))
    for run in fault_injection.each_call(kinds, calls, one_in(4), lambda: _planned(fault_injection)):
        _has_one_outcome(fault_injection, run)
        assert run.event["detail"]["changed"] is False, str(run)
        assert fault_injection.left(run.detail) == NOTHING, str(run)
        assert fault_injection.journal() == [], str(run)
        assert fault_injection.item("access", run.event["detail"]["accessId"]) == {}, str(run)


@pytest.mark.parametrize("kinds", profile(THROTTLED_ONCE, KILLED, BROKEN_AFTER, KILLED_BEFORE, TIMED_OUT, BROKEN))
def test_transient_failure_of_a_plan_is_retried(fault_injection: FaultInjection, kinds: tuple[Kind, ...]) -> None:
    calls = fault_injection.calls(_PLAN_AND_REPORT, _planned(fault_injection))
    for run in fault_injection.each_call(kinds, calls, one_in(4, begin=2), lambda: _planned(fault_injection)):
        _has_one_outcome(fault_injection, run)
        assert run.outcome == "Access Planned", str(run)


def _foreign(action: str) -> Detail:
    return {"Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": ORIGIN}, "Action": action, "Resource": "*"}


def _adopted(fault_injection: FaultInjection) -> Detail:
    """Creates a key and a secret with foreign statements."""
    key_arn = fault_injection.new_key(statements=(_foreign("kms:DescribeKey"),))
    secret_arn = fault_injection.new_secret(json.dumps({MEMBER: secrets.token_hex(10)}), KmsKeyId=key_arn)
    policy = {"Version": "2012-10-17", "Statement": [_foreign("secretsmanager:DescribeSecret")]}
    fault_injection.secretsmanager.put_resource_policy(SecretId=secret_arn, ResourcePolicy=json.dumps(policy))
    return {"key": {"arn": key_arn}, "secret": {"value": {"existing": {"secretArn": secret_arn}}}}


class _First:
    """An access that shares its key with the requests that fail, and also its secret if both are adopted."""

    def __init__(self, fault_injection: FaultInjection, is_adopted: bool) -> None:
        self._fault_injection, self._is_adopted = fault_injection, is_adopted
        self.begin()

    def begin(self) -> None:
        self._members = _adopted(self._fault_injection) if self._is_adopted else {}
        self.detail = self._fault_injection.detail(**self._members, managementRoles=None)
        self.made = self._fault_injection.onboard(self.detail)["resources"]
        self.policies = self.read_policies()

    def second(self) -> Detail:
        return self._fault_injection.detail(**(self._members | {"key": self.detail["key"], "managementRoles": [ORIGIN]}))

    def read_policies(self) -> tuple[Detail, Detail]:
        return self._fault_injection.key_policy(self.made["keyArn"]), self._fault_injection.secret_policy(
            self.made["secretArn"]
        )


@pytest.mark.parametrize("kinds", profile(FINAL, THROTTLED))
@pytest.mark.parametrize("is_adopted", [False, True], ids=["shared", "adopted"])
def test_failed_request_changes_nothing_that_it_shares_or_adopts(
    fault_injection: FaultInjection, kinds: tuple[Kind, ...], is_adopted: bool
) -> None:
    first = _First(fault_injection, is_adopted)
    calls = fault_injection.calls(WORK, first.second())
    first.begin()  # each additional access on the key would add calls to the next request
    for run in fault_injection.each_call(kinds, calls, one_in(24), first.second):
        _has_one_outcome(fault_injection, run)
        if run.outcome == "Access Onboarded":
            first.begin()
            continue
        _reports_the_fault(run)
        assert first.read_policies() == first.policies, str(run)
        assert ('"Theirs"' in json.dumps(first.policies)) is is_adopted
        again = first.detail | {"requestId": f"first-{run.detail['requestId']}"}
        assert fault_injection.onboard(again)["status"] == "unchanged"


class _Moves:
    """Onboards an access for each request, which then moves it to another key."""

    def __init__(self, fault_injection: FaultInjection) -> None:
        self._fault_injection = fault_injection

    def next(self) -> Detail:
        self.first = self._fault_injection.detail()
        self.before = self._fault_injection.onboard(self.first)["resources"]
        alias = f"alias/latchkey/moved-{secrets.token_hex(4)}"
        request_id = f"move-{secrets.token_hex(6)}"
        return self.first | {"requestId": request_id, "key": {"alias": alias, "move": True}}

    @property
    def key_of_secret(self) -> str:
        found = self._fault_injection.secretsmanager.describe_secret(SecretId=self.before["secretArn"])
        return str(found["KmsKeyId"])


@pytest.mark.parametrize("kinds", profile(FINAL, DENIED, FINAL_BEFORE, THROTTLED))
def test_permanent_failure_of_a_move_leaves_the_access_under_its_key(
    fault_injection: FaultInjection, kinds: tuple[Kind, ...]
) -> None:
    moves = _Moves(fault_injection)
    calls = fault_injection.calls(WORK, moves.next())
    for run in fault_injection.each_call(kinds, calls, one_in(24), moves.next):
        _has_one_outcome(fault_injection, run)
        if run.outcome != "Access Onboarded":
            assert run.event["detail"]["changed"] is False, str(run)
            assert moves.key_of_secret == moves.before["keyArn"], str(run)
            first = moves.first | {"requestId": f"first-{secrets.token_hex(6)}"}
            assert fault_injection.onboard(first)["status"] == "unchanged", str(run)


@pytest.mark.parametrize("kinds", profile(THROTTLED_ONCE, KILLED, BROKEN_AFTER, KILLED_BEFORE, TIMED_OUT, BROKEN))
def test_transient_failure_of_a_move_is_retried(fault_injection: FaultInjection, kinds: tuple[Kind, ...]) -> None:
    moves = _Moves(fault_injection)
    calls = fault_injection.calls(ANY, moves.next())
    for run in fault_injection.each_call(kinds, calls, one_in(24, begin=12), moves.next):
        _has_one_outcome(fault_injection, run)
        assert run.outcome == "Access Onboarded", str(run)
        assert moves.key_of_secret != moves.before["keyArn"], str(run)


class _Offboardings:
    """Onboards an access for each request, which then offboards it or, after an offboarding, restores it."""

    def __init__(self, fault_injection: FaultInjection, *, restores: bool = False) -> None:
        self._fault_injection, self._restores = fault_injection, restores

    def next(self) -> Detail:
        self.first = self._fault_injection.detail()
        made = self._fault_injection.onboard(self.first)
        self.access_id, self.made = made["accessId"], made["resources"]
        self.in_service = self.settings()
        if self._restores:
            self._fault_injection.offboard(self.access_id, recoveryDays=7)
            return self._asked("restore")
        return self._asked("offboard", recoveryDays=7)

    def _asked(self, kind: str, **members: Any) -> Detail:
        return {"requestId": f"{kind}-{secrets.token_hex(6)}", "accessId": self.access_id} | members

    def settings(self) -> Any:
        """The access configuration of the location, or None."""
        return self._fault_injection.location(self.first["resource"]["sourceLocation"]).get("AccessConfiguration") or None

    @property
    def state(self) -> str:
        """The phase of the access or, if it has none, its status."""
        item = self._fault_injection.item("access", self.access_id)
        return str((item.get("phase") or item["status"])["S"])

    @property
    def is_secret_deleted(self) -> bool:
        found = self._fault_injection.secretsmanager.describe_secret(SecretId=self.made["secretArn"])
        return "DeletedDate" in found

    def has_kept_invariants(self, run: FaultRun) -> None:
        """No secret is deleted while the location names it, and the end of a request leaves neither lock nor journal."""
        assert not (self.settings() and self.is_secret_deleted), str(run)
        assert self._fault_injection.lock(self.access_id) is None, str(run)

    def is_offboarded(self, run: FaultRun) -> None:
        assert (self.state, self.settings(), self.is_secret_deleted) == ("offboarded", None, True), str(run)
        assert self._fault_injection.journal() == [], str(run)

    def is_in_service(self, run: FaultRun) -> None:
        assert (self.state, self.settings(), self.is_secret_deleted) == ("active", self.in_service, False), str(run)
        assert self._fault_injection.journal() == [], str(run)


@pytest.mark.parametrize("kinds", profile(FINAL, DENIED, FINAL_BEFORE, THROTTLED))
def test_permanent_failure_of_an_offboarding_changes_nothing_or_is_finished_by_the_next(
    fault_injection: FaultInjection, kinds: tuple[Kind, ...]
) -> None:
    offboardings = _Offboardings(fault_injection)
    calls = fault_injection.calls(OFFBOARDING, offboardings.next())
    for run in fault_injection.each_call(kinds, calls, one_in(24), offboardings.next):
        _has_one_outcome(fault_injection, run)
        offboardings.has_kept_invariants(run)
        if run.outcome != "Access Offboarded" and not run.event["detail"]["changed"]:
            offboardings.is_in_service(run)
            first = offboardings.first | {"requestId": f"first-{secrets.token_hex(6)}"}
            assert fault_injection.onboard(first)["status"] == "unchanged", str(run)
        fault_injection.offboard(offboardings.access_id, recoveryDays=7)
        offboardings.is_offboarded(run)


@pytest.mark.parametrize("kinds", profile(THROTTLED_ONCE, KILLED, BROKEN_AFTER, KILLED_BEFORE, TIMED_OUT, BROKEN))
def test_transient_failure_of_an_offboarding_is_retried(fault_injection: FaultInjection, kinds: tuple[Kind, ...]) -> None:
    offboardings = _Offboardings(fault_injection)
    calls = fault_injection.calls(ANY, offboardings.next())
    for run in fault_injection.each_call(kinds, calls, one_in(24), offboardings.next):
        _has_one_outcome(fault_injection, run)
        assert run.outcome == "Access Offboarded", str(run)
        fault_injection.settle()
        offboardings.has_kept_invariants(run)
        offboardings.is_offboarded(run)


@pytest.mark.parametrize("kinds", profile(FINAL, DENIED, FINAL_BEFORE, THROTTLED))
def test_permanent_failure_of_a_restoration_leaves_the_access_offboarded(
    fault_injection: FaultInjection, kinds: tuple[Kind, ...]
) -> None:
    offboardings = _Offboardings(fault_injection, restores=True)
    calls = fault_injection.calls(WORK, offboardings.next())
    for run in fault_injection.each_call(kinds, calls, one_in(32), offboardings.next):
        _has_one_outcome(fault_injection, run)
        offboardings.has_kept_invariants(run)
        if run.outcome != "Access Onboarded":
            offboardings.is_offboarded(run)
            fault_injection.restore(offboardings.access_id)
        offboardings.is_in_service(run)


@pytest.mark.parametrize("kinds", profile(THROTTLED_ONCE, KILLED, BROKEN_AFTER, KILLED_BEFORE, TIMED_OUT, BROKEN))
def test_transient_failure_of_a_restoration_is_retried(fault_injection: FaultInjection, kinds: tuple[Kind, ...]) -> None:
    offboardings = _Offboardings(fault_injection, restores=True)
    calls = fault_injection.calls(ANY, offboardings.next())
    for run in fault_injection.each_call(kinds, calls, one_in(32), offboardings.next):
        _has_one_outcome(fault_injection, run)
        assert run.outcome == "Access Onboarded", str(run)
        fault_injection.settle()
        offboardings.has_kept_invariants(run)
        offboardings.is_in_service(run)
