"""An offboarding whose execution ended without an outcome is continued by another execution, a limited number of times."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey.onboarding.read_execution import MOST_RESUMPTIONS
from tests.functions.account import Account
from tests.functions.offboarding_steps import Offboarding
from tests.functions.onboarding_requests import Run
from tests.functions.onboarding_steps import Onboarding
from tests.functions.state_machine import StateMachine


@pytest.fixture
def machine(account: Account) -> StateMachine:
    return StateMachine("offboard-access")


def content(access: Onboarding) -> dict[str, Any]:
    offboarding = Offboarding(access.run, access)
    asked = {"asked": offboarding.asked, "kind": "Offboarding Requested", "accessId": offboarding.access_id}
    known = {"requestId": offboarding.asked["requestId"], "request": offboarding.request, "system": "mediatailor"}
    return offboarding.common | asked | known


def test_an_ended_offboarding_is_continued_once_per_execution_and_not_for_ever(
    run: Run, account: Account, machine: StateMachine
) -> None:
    access = Onboarding(run, account).run_through("record_access")
    first = machine.start(content(access))
    last, started = first, 0
    while True:
        machine.end()
        ended = run("read_execution", {"executionArn": last})
        assert (ended["executionArn"], ended["lastArn"], ended["answered"]) == (first, last, False)
        if not ended["resumable"]:
            break
        resumed = [run("resume_request", {"executionArn": first, "lastArn": last})["executionArn"] for _ in range(2)]
        assert len(set(resumed)) == 1
        last, started = resumed[0], started + 1
        assert len(machine()) == started + 1
        assert run("read_execution", {"executionArn": first})["answered"] is True  # it is running

    assert (started, ended["offboards"]) == (MOST_RESUMPTIONS, True)
    assert {found.get("resumes") for name, found in machine().items() if not first.endswith(name)} == {first}


def test_an_onboarding_is_not_continued(run: Run, account: Account) -> None:
    access = Onboarding(run, account).run_through("record_access")
    machine = StateMachine("onboard-access")
    event = {"requestId": "request-1", "contentHash": "c" * 64, "request": access.request, "system": "mediatailor"}
    arn = machine.start(event | {"accessId": "mediatailor/sourceLocation/sports-origin"})
    machine.end()

    assert run("read_execution", {"executionArn": arn})["resumable"] is False
