"""Random histories: a grant in use is never revoked, an orphaned one is gone after the grace period and a sweep."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import GrantCleanUp
from tests.model.wire import Wire

# `make test-model` asks for more.
STEPS = int(os.environ.get("MODEL_STEPS", "2000"))
_EACH = 50


@pytest.mark.timeout(0)
def test_no_history_revokes_a_grant_in_use_or_leaves_an_orphan(wire: Wire) -> None:
    class Counted(GrantCleanUp):
        pass

    Counted.wire, Counted.steps, Counted.windows, Counted.revoked = wire, 0, 0, 0
    chosen = settings(
        max_examples=STEPS // 40 + 1,
        stateful_step_count=_EACH,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Counted, settings=chosen)
    print(f"{Counted.steps} steps, {Counted.revoked} revocations, {Counted.windows} in the window")
    assert Counted.steps >= STEPS
