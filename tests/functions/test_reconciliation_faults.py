"""Every AWS call of a reconciliation fails once in every way: a finding is reported once, a repair is started at most once.

With WHOLE=1, each call fails in each way. Without it, the ways alternate over the calls.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from latchkey.aws import clients
from latchkey.errors import LatchkeyError
from latchkey.registry import registry
from tests.functions.account import DATA_BUCKET, TABLE, Account
from tests.functions.call_faults import CallFaults, Machine, Table, combinations
from tests.functions.clean_up_steps import ACCESS, onboarded
from tests.functions.onboarding_requests import Run
from tests.functions.test_reconciliation import RUN, decide, lines_of, lose_statements
from tests.sampling import WHOLE

pytestmark = [pytest.mark.usefixtures("any_origin_host"), pytest.mark.timeout(0 if WHOLE else 300)]


class Reconciliations:
    """Reconciles one access that has lost a statement, as the state machine does."""

    def __init__(self, run: Run, account: Account) -> None:
        self._run, self._account, self._machine = run, account, Machine(account)
        self._access = onboarded(run, account)
        lose_statements(account, self._access.key)

    def begin(self) -> None:
        """Forgets the former reconciliation."""
        for kind in ("finding", "notice"):
            for item in self._account.items(kind):
                self._account.dynamodb.delete_item(TableName=TABLE, Key={"kind": item["kind"], "id": item["id"]})
        record = registry().accesses.get(ACCESS)
        assert record
        for change in registry().accesses.unpublished(ACCESS):
            registry().accesses.note_published(ACCESS, change)
        registry().accesses.record_status(record, "active", ())
        self._account.published()
        self.published = list[dict[str, Any]]()

    def reconcile(self) -> dict[str, Any] | None:
        """The decision, or None if the reconciliation failed."""
        items = [{"accessId": ACCESS}]
        try:
            for _ in range(3):
                event = {"items": items, "executionArn": RUN}
                items = self._machine.attempt(partial(self._run, "reconcile_access", event))["unread"]
                if not items:
                    break
            return self._machine.attempt(lambda: decide(self._run))
        except (LatchkeyError, ClientError):  # the second one if the inventory could not be written
            return None

    def outcome(self, decided: dict[str, Any] | None) -> str:
        """What the reconciliation has reached. Fails if it has reported or started something twice."""
        self.published += [event for event in self._account.published() if event["detail-type"] == "Drift Detected"]
        assert len({event["detail"]["outcomeId"] for event in self.published}) <= 1
        found = registry().findings.get(ACCESS)
        attempts = [*found.attempts] if found else []
        assert len(attempts) <= 1
        if decided is None:
            return "failed"
        assert (decided["observed"], decided["unread"]) in ((1, 0), (0, 1))
        names = [line["name"] for line in lines_of(decided["key"])]
        assert names == attempts[: decided["repairs"]]
        assert len(names) == decided["due"] == decided["observed"]
        assert len(self.published) >= decided["observed"]
        return "repairs" if names else "unread"


def test_each_call_of_a_reconciliation_fails_once(
    run: Run, account: Account, faults: CallFaults, stack: Callable[..., None]
) -> None:
    clients.s3().create_bucket(Bucket=DATA_BUCKET)
    stack(REMEDIATION_MODE="repair", ALLOWED_ORIGIN_HOSTS="*")
    reconciliations, table = Reconciliations(run, account), Table("reconciliation")
    reconciliations.begin()
    faults.disarm()
    assert reconciliations.outcome(reconciliations.reconcile()) == "repairs"
    calls = faults.calls

    for fault, call in combinations(calls, 1):
        reconciliations.begin()
        faults.arm(fault, call)
        decided = reconciliations.reconcile()
        faults.disarm()
        outcome = reconciliations.outcome(decided)
        table.add(fault, faults.met, outcome)
        # The next reconciliation finishes what this one has left.
        if outcome == "failed":
            assert reconciliations.outcome(reconciliations.reconcile()) == "repairs", (fault, call)

    assert {outcome for _, outcome in table.outcomes} >= {"repairs"}
    assert sum(table.outcomes.values()) >= calls
