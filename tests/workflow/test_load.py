"""Clients that send the correct token are never refused while an access rotates or moves, and each of its functions crashes.

Neither are they if the request is rolled back, and the rollback crashes.
"""

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
WITHDRAWAL = ("CheckRotation", "WithdrawToken", "RecordRotation", "ReportOutcome")
AT_ONCE = ("CheckRotation", "CreateSecret", "PromoteToken", "ValidateAccess", "RecordRotation", "ReportOutcome")
MOVE = (
    *("CheckRequest", "CreateKey", "AttachPolicies", "ConfigureAccess", "ValidateAccess", "RecordAccess"),
    *("LeaveKey", "ReportOutcome"),
)
ROLLBACK = ("UndoOnboarding",)
# A call whose failure is not retried, after the last change of a request.
LAST: Detail = {"service": "dynamodb", "operation": "UpdateItem", "error": "SomethingInvalid"}


def _pattern(function: str) -> str:
    """The pattern of a fault for a function. Leave key has the role of undo_onboarding, which has nothing to do meanwhile."""
    return f"latchkey-{'UndoOnboarding' if function == 'LeaveKey' else function}Function"


def _crash(onboarding: Onboarding, functions: Iterable[str]) -> None:
    """Kills each of the functions at its second call."""
    for function in functions:
        onboarding.aws.control("POST", "faults", {"caller": _pattern(function), "error": "killed", "call": 2})


def _crashed(onboarding: Onboarding, functions: Iterable[str]) -> None:
    """Asserts that each of the functions was killed, and removes the faults."""
    met = " ".join(one["principal"] for one in onboarding.aws.control("GET", "faults"))
    onboarding.aws.control("DELETE", "faults")
    assert [function for function in functions if _pattern(function) not in met] == []


def _roll_back(onboarding: Onboarding, last: str) -> None:
    """Lets the last function of a request fail for good, and kills the rollback at its second call."""
    onboarding.aws.control("POST", "faults", LAST | {"caller": _pattern(last)})
    _crash(onboarding, ROLLBACK)


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


def test_mediatailor_is_served_while_a_confirmation_is_rolled_back_and_withdrawn(fast_onboarding: Onboarding) -> None:
    onboarding, rotations = fast_onboarding, Rotations(fast_onboarding)
    onboarding.aws.control("PUT", "assumptions", {"tokenCacheSeconds": 1})
    detail = onboarding.detail(secret={"originReaders": [ORIGIN]})
    made = onboarding.onboard(detail)
    access_id, labels = made["accessId"], rotations.labels(made["resources"]["secretArn"])
    onboarding.aws.control("PUT", "origin")
    client = SourceLocationClient(onboarding, detail["resource"]["sourceLocation"])

    with Load(client.ask).running():
        rotations.stage(access_id)
        onboarding.aws.control("PUT", "origin")
        _roll_back(onboarding, "RecordRotation")
        failed = rotations.request(access_id, "Rotation Confirmed")
        _crashed(onboarding, ROLLBACK)
        _crash(onboarding, WITHDRAWAL)
        rotations.withdraw(access_id)
        _crashed(onboarding, WITHDRAWAL)

    assert (failed["detail-type"], failed["detail"]["changed"]) == ("Request Failed", False), failed["detail"]
    assert rotations.labels(made["resources"]["secretArn"]) == labels


@pytest.mark.parametrize("kind", ["mediapackage", "mediapackagev2"])
def test_mediapackage_is_served_while_each_function_of_a_rotation_crashes(fast_onboarding: Onboarding, kind: str) -> None:
    onboarding, rotations = fast_onboarding, Rotations(fast_onboarding)
    # The documented windows of ten and five minutes, at a 200th of their time.
    onboarding.aws.control("PUT", "assumptions", {"cdnAuthDelaySeconds": 1.4 if kind == "mediapackagev2" else 2.9})
    consumer = CONSUMERS[kind](onboarding.aws)
    made = onboarding.onboard(consumer.detail)
    access_id, secret_arn = made["accessId"], made["resources"]["secretArn"]
    cdn = Cdn(consumer, consumer.token(rotations.value(secret_arn)))

    with Load(cdn.ask).running():
        _roll_back(onboarding, "RecordRotation")
        failed = rotations.request(access_id)
        _crashed(onboarding, ROLLBACK)
        _crash(onboarding, AT_ONCE)
        rotations.rotate(access_id)
        cdn.token = consumer.token(rotations.value(secret_arn))
        _crashed(onboarding, AT_ONCE)

    assert (failed["detail-type"], failed["detail"]["changed"]) == ("Request Failed", False), failed["detail"]


def test_clients_are_served_while_a_flow_under_the_same_key_gets_a_new_token(fast_onboarding: Onboarding) -> None:
    """A flow reads its secret only when it is configured, so its rotation is an interruption, but of nobody else."""
    onboarding, rotations = fast_onboarding, Rotations(fast_onboarding)
    detail, ask, _ = _client(onboarding, "mediatailor")
    endpoint, flow = (CONSUMERS[kind](onboarding.aws) for kind in ("mediapackage", "mediaconnect-output"))
    token_arn = onboarding.onboard(endpoint.detail | {"key": detail["key"]})["resources"]["secretArn"]
    made = onboarding.onboard(flow.detail | {"key": detail["key"]})
    access_id, secret_arn = made["accessId"], made["resources"]["secretArn"]
    cdn, labels = Cdn(endpoint, endpoint.token(rotations.value(token_arn))), rotations.labels(secret_arn)
    applied = (*AT_ONCE, "ApplyToken")

    with Load(ask).running(), Load(cdn.ask).running():
        _roll_back(onboarding, "RecordRotation")
        failed = rotations.request(access_id, acceptsInterruption=True)
        _crashed(onboarding, ROLLBACK)
        assert rotations.labels(secret_arn) == labels
        _crash(onboarding, applied)
        rotations.rotate(access_id, acceptsInterruption=True)
        _crashed(onboarding, applied)

    assert (failed["detail-type"], failed["detail"]["changed"]) == ("Request Failed", False), failed["detail"]


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


@pytest.mark.parametrize("kind", ["mediatailor", "mediapackage", "mediapackagev2"])
def test_clients_are_served_while_a_move_is_rolled_back(fault_injection: FaultInjection, kind: str) -> None:
    detail, ask, _ = _client(fault_injection, kind)
    key = {"alias": f"alias/latchkey/moved-{uuid.uuid4().hex[:8]}", "move": True}

    with Load(ask).running():
        _roll_back(fault_injection, "RecordAccess")
        failed = _outcome(fault_injection, detail | {"requestId": f"move-{uuid.uuid4().hex[:12]}", "key": key})
        _crashed(fault_injection, ROLLBACK)

    assert (failed["detail-type"], failed["detail"]["changed"]) == ("Request Failed", False), failed["detail"]
    assert fault_injection.onboard(detail | {"requestId": f"again-{uuid.uuid4().hex[:12]}"})["status"] == "unchanged"
