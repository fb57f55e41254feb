"""Clients that send the correct token are never refused while an access rotates or moves, and each of its functions crashes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable

import pytest

from local_aws.tools.embedded_aws import until
from tests.workflow.consumer_resources import CONSUMERS
from tests.workflow.fault_injection import Detail, FaultInjection
from tests.workflow.onboarding import ORIGIN, Onboarding
from tests.workflow.rotations import Cdn, Load, Rotations, SourceLocationClient

pytestmark = pytest.mark.timeout(900)
STAGING = ("CheckRotation", "CreateSecret", "RecordRotation", "ReportOutcome")
CONFIRMATION = ("CheckRotation", "PromoteToken", "ValidateAccess", "RecordRotation", "ReportOutcome")
MOVE = ("CheckRequest", "CreateKey", "AttachPolicies", "ConfigureAccess", "ValidateAccess", "RecordAccess", "ReportOutcome")


def _crash(onboarding: Onboarding, functions: Iterable[str]) -> None:
    """Kills each of the functions at its second call."""
    for function in functions:
        onboarding.aws.control("POST", "faults", {"caller": f"latchkey-{function}Function", "error": "killed", "call": 2})


def _crashed(onboarding: Onboarding, functions: Iterable[str]) -> None:
    """Asserts that each of the functions was killed, and removes the faults."""
    met = " ".join(one["principal"] for one in onboarding.aws.control("GET", "faults"))
    onboarding.aws.control("DELETE", "faults")
    assert [function for function in functions if f"latchkey-{function}Function" not in met] == []


def test_mediatailor_is_served_while_each_function_of_a_rotation_crashes(fast_onboarding: Onboarding) -> None:
    onboarding, rotations = fast_onboarding, Rotations(fast_onboarding)
    onboarding.aws.control("PUT", "assumptions", {"tokenCacheSeconds": 1})
    detail = onboarding.detail(secret={"originReaders": [ORIGIN]})
    access_id = onboarding.onboard(detail)["accessId"]
    onboarding.aws.control("PUT", "origin")
    client = SourceLocationClient(onboarding, detail["resource"]["sourceLocation"])

    with Load(client.ask).running():
        _crash(onboarding, STAGING)
        rotations.stage(access_id)
        _crashed(onboarding, STAGING)
        onboarding.aws.control("PUT", "origin")
        _crash(onboarding, CONFIRMATION)
        rotations.confirm(access_id)
        _crashed(onboarding, CONFIRMATION)


def _outcome(faults: FaultInjection, detail: Detail) -> Detail:
    """Sends a request and returns its outcome event. Leases of killed functions expire at once."""
    faults.put(detail)

    def arrived() -> Detail | None:
        faults.end_leases()
        return next(iter(faults.outcomes.of(detail["requestId"], wait=0)), None)

    return until(arrived, "the outcome", 120) or {}


def _client(onboarding: Onboarding, kind: str) -> tuple[Detail, Callable[[], int], str]:
    """An access in service: its request, a client with the current token, and its key."""
    if kind == "mediatailor":
        detail = onboarding.detail()
        key_arn = onboarding.onboard(detail)["resources"]["keyArn"]
        onboarding.aws.control("PUT", "origin")
        return detail, SourceLocationClient(onboarding, detail["resource"]["sourceLocation"]).ask, key_arn
    consumer = CONSUMERS[kind](onboarding.aws)
    made = onboarding.onboard(consumer.detail)["resources"]
    value = onboarding.secretsmanager.get_secret_value(SecretId=made["secretArn"])["SecretString"]
    return consumer.detail, Cdn(consumer, consumer.token(value)).ask, made["keyArn"]


@pytest.mark.parametrize("kind", ["mediatailor", "mediapackage", "mediapackagev2"])
def test_clients_are_served_while_each_function_of_a_move_crashes(fault_injection: FaultInjection, kind: str) -> None:
    detail, ask, former_key = _client(fault_injection, kind)
    key = {"alias": f"alias/latchkey/moved-{uuid.uuid4().hex[:8]}", "move": True}

    with Load(ask).running():
        _crash(fault_injection, MOVE)
        moved = _outcome(fault_injection, detail | {"requestId": f"move-{uuid.uuid4().hex[:12]}", "key": key})
        _crashed(fault_injection, MOVE)

    assert moved["detail-type"] == "Access Onboarded", moved["detail"]
    assert moved["detail"]["resources"]["keyArn"] != former_key
