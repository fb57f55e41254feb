"""An execution that somebody redrives after its request has ended changes nothing, because end-request has rolled it back."""

from typing import Any

import pytest

from latchkey.errors import Conflict
from tests.functions.account import Account
from tests.functions.onboarding_requests import Run
from tests.functions.onboarding_steps import Onboarding

_STEPS = ("create_key", "create_secret", "attach_policies", "configure_access", "record_access")


def _event(ended: Onboarding, step: str) -> dict[str, Any]:
    """The input of a step in the execution of a request."""
    key = {"arn": ended.key, "changed": False}
    members: dict[str, dict[str, Any]] = {
        "create_key": {},
        "create_secret": {"key": key, "ownSecretArn": None},
        "attach_policies": {"key": key, "secretArn": ended.secret},
        "configure_access": {"key": key, "secretArn": ended.secret},
        "record_access": {"resources": {"keyArn": ended.key, "secretArn": ended.secret}, "status": "active"},
    }
    return ended.undo_event | members[step]


@pytest.mark.parametrize(("step", "reached"), zip(_STEPS, ("check_request", *_STEPS[:-1]), strict=True))
def test_a_redriven_step_changes_nothing(run: Run, account: Account, step: str, reached: str) -> None:
    ended = Onboarding(run, account).run_through(until=reached)
    ended.undo()
    ended.end()
    before = account.snapshot()

    with pytest.raises(Conflict, match="this request has ended"):
        run(step, _event(ended, step))

    assert account.snapshot() == before


def test_a_redriven_step_changes_nothing_while_the_request_is_rolled_back(run: Run, account: Account) -> None:
    ended = Onboarding(run, account).run_through(until="create_key")
    with account.locked(ended.request, f"{ended.execution}-end-request"):
        before = account.snapshot()

        with pytest.raises(Conflict, match="this request has ended"):
            run("create_secret", _event(ended, "create_secret"))

        assert account.snapshot() == before
