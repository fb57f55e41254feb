"""The search for a history that ends wrong: as long as one asks, and the same each time."""

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import GrantCleanUp
from tests.model.wire import Wire


def search(wire: Wire, steps: int, *, shrink: bool = True) -> type[GrantCleanUp]:
    """Runs about as many steps, and more; raises Wrong with the first history, or what it shrinks to."""

    class Searched(GrantCleanUp):
        pass

    Searched.wire, Searched.steps, Searched.windows, Searched.revoked = wire, 0, 0, 0
    chosen = settings(
        max_examples=steps // 40 + 1,
        stateful_step_count=50,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=tuple(HealthCheck),
    )
    _in_one_piece(lambda: run_state_machine_as_test(Searched, settings=chosen))
    return Searched


def _in_one_piece(work: Callable[[], None]) -> None:
    work()


# Python keeps frames in pieces of 16 KB, and maps and unmaps one at each call that crosses their border: so deep, that was
# a third of the time. This frame asks for a piece in which all that are above it have room.
# https://github.com/python/cpython/blob/v3.13.0/Python/pystate.c (push_chunk)
_in_one_piece.__code__ = _in_one_piece.__code__.replace(co_stacksize=80_000)
