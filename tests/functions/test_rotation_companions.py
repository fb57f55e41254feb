"""Rotations and the other accesses that read the secret: their requests wait for each other or are rejected."""

import json
from typing import Any

import pytest

from latchkey.errors import LatchkeyError, NotYetEffective
from latchkey.registry import registry
from tests.functions.account import Account
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.offboarding_steps import Offboarding
from tests.functions.onboarding_requests import EXECUTION, Run, check_event, existing, onboarding, rejection
from tests.functions.onboarding_steps import Onboarding
from tests.functions.rotation_steps import Rotation

ANOTHER = f"{EXECUTION}-another"
CONSENT = {"latchkey:consent": "adopt", "latchkey:rotation-consent": "rotate"}


class Pair:
    """Two accesses of MediaPackage that read one secret: the one that rotates, and its companion."""

    def __init__(self, run: Run, account: Account) -> None:
        key = account.key(tags={"latchkey:consent": "adopt"})
        value = json.dumps({"MediaPackageCDNIdentifier": "present-token"})
        secret = account.secret("MediaPackage/shared", value, key=key, tags=CONSENT)
        self.members: dict[str, Any] = {"secret": existing(secret), "key": {"arn": key}}
        self.rotation = Rotation(run, account, "mediapackage", **self.members)
        self.rotation.secret = secret
        self.run = run
        self.companion = Onboarding(run, account, system="mediapackage-vod", requestId="request-2", **self.members)
        self.companion.run_through("record_access")
        self.companion_id = "mediapackage-vod/packagingGroup/films"

    def pend(self) -> None:
        """Leaves the rotation pending, as a system does whose other end must act first."""
        self.rotation.check()
        self.rotation.stage()
        self.rotation.record("pending")
        self.rotation.end()

    def again(self, **members: Any) -> dict[str, Any]:
        """The input of check_request for the request of the companion, sent again."""
        request = onboarding("mediapackage-vod", **self.members) | {"requestId": "request-3"} | members
        execution = {"executionArn": self.companion.execution + "-again", "accessId": self.companion_id}
        return check_event(request, **execution)


@pytest.fixture
def pair(run: Run, account: Account) -> Pair:
    return Pair(run, account)


def test_a_rotation_waits_for_a_request_of_a_companion_and_holds_no_lock_meanwhile(pair: Pair) -> None:
    registry().locks.lock(pair.companion_id, ANOTHER)

    for _ in range(2):
        with pytest.raises(NotYetEffective):
            pair.rotation.check()
        assert not registry().locks.is_locked(pair.rotation.access_id)
    registry().locks.unlock(pair.companion_id, ANOTHER)

    assert pair.rotation.check()["version"]
    assert registry().locks.is_locked(pair.rotation.access_id)


def test_a_rotation_includes_an_access_that_joined_while_it_waited(pair: Pair) -> None:
    resources, secret = registry().resources, "secret MediaPackage/shared"
    resources.release(secret, pair.companion_id)
    resources.refer(secret, "mediatailor/sourceLocation/about-to-join")
    registry().locks.lock("mediatailor/sourceLocation/about-to-join", ANOTHER)
    with pytest.raises(NotYetEffective):
        pair.rotation.check()
    registry().locks.unlock("mediatailor/sourceLocation/about-to-join", ANOTHER)
    resources.refer(secret, pair.companion_id)

    assert pair.rotation.check()["readers"] == [pair.rotation.access_id, pair.companion_id]


def test_a_rotation_that_waited_is_rejected_for_what_others_did_meanwhile(pair: Pair) -> None:
    registry().locks.lock(pair.companion_id, ANOTHER)
    with pytest.raises(NotYetEffective):
        pair.rotation.check()
    registry().locks.unlock(pair.companion_id, ANOTHER)
    pair.rotation.account.secretsmanager.put_secret_value(SecretId=pair.rotation.secret, SecretString="{}")

    assert rejection(pair.run, "check_rotation", pair.rotation.event).keys() == {"accessId"}
    assert registry().phases.get(pair.rotation.access_id) is None


def test_a_confirmation_waits_for_a_request_of_a_companion(pair: Pair) -> None:
    pair.pend()
    registry().locks.lock(pair.companion_id, ANOTHER)

    with pytest.raises(NotYetEffective):
        pair.rotation.begin("Rotation Confirmed").check()
    registry().locks.unlock(pair.companion_id, ANOTHER)

    assert pair.rotation.check()["promotes"] is True


def test_a_companion_is_not_onboarded_again_while_the_secret_rotates(pair: Pair) -> None:
    pair.pend()

    rules = rejection(pair.run, "check_request", pair.again())

    assert rules.keys() == {"resource"}
    assert pair.rotation.access_id in rules["resource"]


def test_a_companion_is_not_confirmed_while_the_secret_rotates(pair: Pair) -> None:
    pair.pend()
    confirmation = pair.again() | {"kind": "Handoff Confirmed", "confirms": True, "findings": None}

    assert rejection(pair.run, "check_request", confirmation).keys() == {"accessId"}


def test_an_offboarding_waits_only_for_a_rotation_that_runs(pair: Pair) -> None:
    pair.rotation.check()
    offboarding = Offboarding(pair.run, pair.companion, resource="leave")
    with pytest.raises(NotYetEffective):
        offboarding.check()
    pair.rotation.stage()
    pair.rotation.record("pending")
    pair.rotation.end()

    assert offboarding.check()["accessId"] == pair.companion_id


@pytest.mark.parametrize("phase", ["rotating", "moving", "offboarding"])
def test_a_companion_that_changes_stops_the_rotation(pair: Pair, phase: Any) -> None:
    registry().phases.begin(pair.companion_id, phase, "another-request")

    assert rejection(pair.run, "check_rotation", pair.rotation.event).keys() == {"accessId"}
    assert registry().phases.get(pair.rotation.access_id) is None


def test_a_companion_that_begins_to_rotate_at_the_same_time_stops_the_rotation(pair: Pair) -> None:
    def begin() -> None:
        registry().phases.begin(pair.companion_id, "rotating", "another-request")

    # The phase of the companion is read once for the rules, and once after the phase of this access has begun.
    at_call("secretsmanager", "DescribeSecret", begin, when="after-call")

    assert rejection(pair.run, "check_rotation", pair.rotation.event).keys() == {"accessId"}
    assert registry().phases.get(pair.rotation.access_id) is None


@pytest.mark.parametrize("number", range(1, 8))
def test_a_check_that_fails_at_any_write_leaves_no_phase_after_the_rollback(run: Run, account: Account, number: int) -> None:
    rotation = Rotation(run, account)
    at_call("dynamodb", "UpdateItem", answer_with_error("UpdateItem", "SomethingInvalid"), number=number)

    with pytest.raises(LatchkeyError):
        rotation.check()
    rotation.undo()

    assert registry().phases.get(rotation.access_id) is None
