"""Searches for a history that ends wrong, deterministically."""

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.histories import GrantHistories
from tests.model.in_process_aws import InProcessAws


def search(aws: InProcessAws, steps: int, *, shrink: bool = True, sequence: int | None = None) -> type[GrantHistories]:
    """Runs at least `steps` steps. Raises WrongDecision for the first wrong history, or for its shrunk version.

    `sequence` selects another sequence of histories.
    """

    class Searched(GrantHistories):
        pass

    if sequence is not None:
        seed(sequence)(Searched)
    Searched.aws, Searched.steps, Searched.windows, Searched.revoked = aws, 0, 0, 0
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


# Python stores frames in chunks of 16 KB and maps or unmaps one at each call across a chunk boundary. At this depth, this
# took a third of the time. This frame allocates a chunk that has room for all frames above it.
# https://github.com/python/cpython/blob/v3.13.0/Python/pystate.c (push_chunk)
_in_one_piece.__code__ = _in_one_piece.__code__.replace(co_stacksize=80_000)
