"""Reconciliations through the deployed stack: what differs is found, and repaired if that is the mode of the access."""

import json
import uuid
from typing import Any

import pytest

from latchkey.events.cleanup import NOTICES
from local_aws.tools.embedded_aws import until
from tests.contract.schemas import validator
from tests.workflow.clean_ups import Access, CleanUps
from tests.workflow.onboarding import Onboarding


@pytest.fixture
def clean_ups(onboarding: Onboarding) -> CleanUps:
    return CleanUps(onboarding)


def reconcile(onboarding: Onboarding, **members: Any) -> dict[str, Any]:
    """Reconciles, which must succeed, and returns the detail of the outcome."""
    event = onboarding.send({"requestId": f"reconcile-{uuid.uuid4().hex[:12]}"} | members, 240, kind="Reconciliation Requested")
    assert event["detail-type"] == "Reconciliation Completed", json.dumps(event["detail"], indent=2)
    detail: dict[str, Any] = event["detail"]
    validator("reconciliation-completed").validate(detail)
    return detail


def notices(onboarding: Onboarding, access: Access) -> list[str]:
    """The detail types of the events about an access that no request asked for."""
    events = [event for event in onboarding.outcomes.all() if event["detail"].get("accessId") == access.access_id]
    return [event["detail-type"] for event in events if event["detail-type"] in NOTICES]


def onboarded(clean_ups: CleanUps, **changes: Any) -> Access:
    [access] = clean_ups.onboard(clean_ups.onboarding.detail(**changes))
    return access


def lose_key_statement(clean_ups: CleanUps, access: Access) -> dict[str, Any]:
    """Removes Latchkey's statement for the roles of the service from the key policy, and adds one of somebody else."""
    policy = clean_ups.onboarding.key_policy(access.key)
    theirs = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "kms:ReplicateKey", "Resource": "*"}
    kept = [one for one in policy["Statement"] if not one["Sid"].startswith("LatchkeyMediatailor")]
    assert len(kept) < len(policy["Statement"])
    altered = json.dumps(policy | {"Statement": [*kept, theirs]})
    clean_ups.kms.put_key_policy(KeyId=access.key, PolicyName="default", Policy=altered)
    return theirs


def test_a_repair_gives_back_our_statements_and_no_event_of_our_own_roles_starts_anything(clean_ups: CleanUps) -> None:
    access = onboarded(clean_ups, remediation="repair")
    onboarding = clean_ups.onboarding
    onboarding.settle()
    before, token = onboarding.key_policy(access.key), onboarding.token(access.secret)
    theirs = lose_key_statement(clean_ups, access)
    started = len(onboarding.executions("CleanUp")) + 1
    until(lambda: len(onboarding.executions("CleanUp")) >= started, "the cleanup after the trail event")
    onboarding.settle()

    outcome = reconcile(onboarding, accessId=access.access_id)

    assert (outcome["due"], outcome["repaired"], outcome["notRepaired"], outcome["changed"]) == (1, 1, 0, True)
    assert notices(onboarding, access) == ["Drift Detected", "Drift Repaired"]
    statements = onboarding.key_policy(access.key)["Statement"]
    assert theirs in statements
    by_sid = sorted((one for one in statements if one != theirs), key=lambda one: str(one["Sid"]))
    assert by_sid == sorted(before["Statement"], key=lambda one: str(one["Sid"]))
    assert onboarding.token(access.secret) == token
    assert clean_ups.reads(access)
    # The trail event of the repair came before this one, and started nothing.
    lose_key_statement(clean_ups, access)
    until(lambda: len(onboarding.executions("CleanUp")) > started, "the cleanup after the next trail event")
    onboarding.settle()
    assert len(onboarding.executions("CleanUp")) == started + 1
    assert notices(onboarding, access) == ["Drift Detected", "Drift Repaired", "Drift Detected"]


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"system": "no-such-system"}, "system"),
        ({"accessId": "mediatailor/sourceLocation/nobody"}, "accessId"),
        ({"system": "mediatailor", "accessId": "mediatailor/sourceLocation/nobody"}, "detail"),
        ({"scope": "everything"}, "scope"),
    ],
)
def test_an_unknown_scope_is_rejected(onboarding: Onboarding, members: dict[str, str], path: str) -> None:
    event = onboarding.send({"requestId": f"reconcile-{uuid.uuid4().hex[:12]}"} | members, kind="Reconciliation Requested")

    assert event["detail-type"] == "Request Rejected"
    assert [error["place"] for error in event["detail"]["errors"]] == [path]
