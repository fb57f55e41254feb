"""Every AWS call of a reconciliation and of a repair fails once in every way.

A finding is reported once. A repair is started at most once, ends in one event, and repairs everything or is rolled back.
Nothing of anybody else changes, and the next reconciliation finishes what is left.

With WHOLE=1, each call fails in each way. Without it, the ways alternate over the calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from latchkey.aws import clients
from latchkey.errors import LatchkeyError
from latchkey.registry import registry
from tests.functions.account import DATA_BUCKET, TABLE, Account, client
from tests.functions.call_faults import CallFaults, Machine, Table, combinations
from tests.functions.clean_up_steps import ACCESS, GRANT, grants, onboarded, token_configuration
from tests.functions.onboarding_requests import NAME, Run, role_name_of
from tests.functions.onboarding_steps import Onboarding, key_statements, policy, secret_statements
from tests.functions.repair_steps import Repair
from tests.functions.test_reconciliation import RUN, decide, event, lines_of, lose_statements
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


THEIRS = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Resource": "*"}
KEY_STATEMENT, SECRET_STATEMENT = (THEIRS | {"Action": one} for one in ("kms:ReplicateKey", "secretsmanager:TagResource"))
OTHER_TRUST = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
# Without WHOLE, every n-th call fails.
ONE_IN = {"mediatailor": 12, "mediapackagev2": 12}


class Repairs:
    """Damages one access again and again, reconciles it, and carries out the repair that is due."""

    def __init__(self, run: Run, account: Account, system: str) -> None:
        self._run, self._account, self._machine, self._number = run, account, Machine(account), 0
        account.add_resources()
        if system == "mediatailor":
            self.access = onboarded(run, account)
            # KMS returns the same grant for the same name and parameters; moto creates another one.
            account.mediatailor.at_update = lambda: (
                None if grants(account, self.access.key) else account.grant(self.access.key, GRANT, self.access.secret)
            )
        else:
            self.access = Onboarding(run, account, system=system).run_through("record_access")
        self._system, self._access_id = system, self.access.checked["accessId"]
        self._write_key_policy([KEY_STATEMENT, *key_statements(account, self.access.key)])
        self._write_secret_policy([SECRET_STATEMENT, *secret_statements(account, self.access.secret)])
        self._whole = self._state()

    def _write_key_policy(self, statements: list[dict[str, Any]]) -> None:
        self._account.kms.put_key_policy(KeyId=self.access.key, PolicyName="default", Policy=policy(*statements))

    def _write_secret_policy(self, statements: list[dict[str, Any]]) -> None:
        document = policy(*statements)
        self._account.secretsmanager.put_resource_policy(SecretId=self.access.secret, ResourcePolicy=document)

    def _state(self) -> dict[str, Any]:
        """Everything outside the registry, whatever its order. A role that is created again has another tag."""
        seen = self._account.snapshot() | {"table": None}
        key, secret = seen["keys"][self.access.key], seen["secrets"][self.access.secret]
        by_sid = [
            sorted(one, key=json.dumps) for one in (json.loads(key["policy"])["Statement"], secret["policy"]["Statement"])
        ]
        changed = dict.fromkeys(("LastChangedDate", "policy"))
        keys, secrets = {self.access.key: key | {"policy": None}}, {self.access.secret: secret | changed}
        return seen | {"keys": seen["keys"] | keys, "secrets": seen["secrets"] | secrets, "policies": by_sid}

    def begin(self) -> None:
        """Forgets former repairs, and changes what an access consists of."""
        for kind in ("finding", "notice"):
            for item in self._account.items(kind):
                self._account.dynamodb.delete_item(TableName=TABLE, Key={"kind": item["kind"], "id": item["id"]})
        self._account.published()
        self._account.kms.disable_key_rotation(KeyId=self.access.key.rpartition("/")[2])
        self._write_key_policy(
            [one for one in key_statements(self._account, self.access.key) if "Management" not in one["Sid"]]
        )
        if self._system == "mediatailor":
            self._write_secret_policy([SECRET_STATEMENT])
            token = token_configuration(self.access.secret)
            token["SecretsManagerAccessTokenConfiguration"]["HeaderName"] = "X-Other"
            self._account.mediatailor.locations[NAME]["AccessConfiguration"] = token
        else:
            role = role_name_of(self._system)
            self._account.iam.update_assume_role_policy(RoleName=role, PolicyDocument=policy(OTHER_TRUST))
            self._account.iam.delete_role_permissions_boundary(RoleName=role)
        self.damage = self._kinds()

    def _kinds(self) -> set[str]:
        observed = self._run("observe_access", {"accessId": self._access_id})
        return {one["kind"] for one in (*observed["causes"], *observed["findings"])}

    def reconcile(self) -> str:
        """The type of the event that reports the repair, or that there was none."""
        self._number += 1
        execution = f"{RUN}-{self._number}"
        asked = event(f"reconcile-{self._number}") | {"executionArn": execution}
        items = [{"accessId": self._access_id}]
        try:
            inventory = self._machine.attempt(partial(self._run, "take_inventory", asked))
            for _ in range(3):
                given = {"items": items, "executionArn": execution}
                items = self._machine.attempt(partial(self._run, "reconcile_access", given))["unread"]
                if not items:
                    break
            started = {"startedAt": "2020-01-01T00:00:00.000Z", "inventory": inventory}
            decided = self._machine.attempt(partial(self._run, "decide_repairs", asked | started))
        except (LatchkeyError, ClientError):
            return "not decided"
        # With another client, whose calls do not fail.
        written = client("s3").get_object(Bucket=DATA_BUCKET, Key=decided["key"])["Body"].read()
        if not written:
            return "nothing due" if decided["observed"] else "unread"
        line = json.loads(written)
        self.last = Repair(self._run, line, self._machine.attempt)
        return self.last.carry_out()

    def end_leases(self) -> None:
        self._machine.end_leases()

    def has_kept_invariants(self, why: str) -> None:
        """One event for each repair, no lock, nothing foreign changed, and nothing worse than before."""
        reported = [one for one in self._account.published() if one["detail-type"].endswith("Repaired")]
        assert len({one["detail"]["outcomeId"] for one in reported}) <= 1, why
        assert registry().locks.holder(self._access_id) is None, why
        state = self._state()
        assert KEY_STATEMENT in state["policies"][0], why
        assert SECRET_STATEMENT in state["policies"][1], why
        assert state["secrets"][self.access.secret]["value"] == self._whole["secrets"][self.access.secret]["value"], why
        assert self._kinds() <= self.damage, why

    def is_whole(self, why: str) -> None:
        assert self._state() == self._whole, why
        assert self._account.items("journal") == [], why


@pytest.mark.parametrize("system", ONE_IN)
def test_each_call_of_a_repair_fails_once(
    run: Run, account: Account, faults: CallFaults, stack: Callable[..., None], system: str
) -> None:
    clients.s3().create_bucket(Bucket=DATA_BUCKET)
    stack(REMEDIATION_MODE="repair", ALLOWED_ORIGIN_HOSTS="*")
    repairs, table = Repairs(run, account, system), Table(f"repair of {system}")
    repairs.begin()
    faults.disarm()
    assert repairs.reconcile() == "Drift Repaired"
    calls = faults.calls
    repairs.is_whole("without a failure")

    for fault, call in combinations(calls, ONE_IN[system]):
        repairs.begin()
        faults.arm(fault, call)
        outcome = repairs.reconcile()
        why = f"{fault.name}, call {call}, {faults.met}: {outcome}"
        faults.disarm()
        repairs.end_leases()
        assert faults.met, why
        table.add(fault, faults.met, outcome)
        repairs.has_kept_invariants(why)
        # What the recorded request asks for stays after a failed repair, so nothing can be left to repair.
        if outcome != "Drift Repaired":
            assert repairs.reconcile() in ("Drift Repaired", "nothing due"), f"{why}; then {repairs.last.error!r}"
        repairs.is_whole(why)

    assert {outcome for _, outcome in table.outcomes} >= {"Drift Repaired", "Drift Not Repaired"}
