"""Two requests at once, with one held at each of its AWS calls: the invariants hold whatever fails.

The failures alternate over a sample of the calls. `make interleavings` combines every call with every failure at every later
call, which takes days. SLICE=3/100 runs every hundredth of these cases, beginning with the third.
"""

import os
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.workflow.concurrent_requests import PAIRS, Case, ConcurrentRequests, Failure
from tests.workflow.fault_injection import DENIED, FINAL, FaultInjection

pytestmark = [pytest.mark.long, pytest.mark.timeout(0 if os.environ.get("EVERY_INTERLEAVING") else 900)]

EVERY = bool(os.environ.get("EVERY_INTERLEAVING"))
# More than any request has.
_CALLS = 90
_FAILURES: tuple[Failure | None, ...] = (
    None,
    *(Failure(of_first, call, kind) for kind in (FINAL, DENIED) for call in range(1, _CALLS) for of_first in (True, False)),
)


def _sampled(pair: str) -> Iterator[list[Case]]:
    """Every 24th call at which the first request is held, from another one on for each pair, with another failure each."""
    # 37 has no factor in common with the number of failures, so the steps visit all of them.
    first = [*PAIRS].index(pair)
    for step in count():
        yield [Case(1 + 6 * first + 24 * step, _FAILURES[37 * (4 * step + first) % len(_FAILURES)])]


def _sliced() -> Iterator[list[Case]]:
    """The cases of the slice that SLICE names, by default all, for each call at which the first request is held."""
    begin, every = map(int, os.environ.get("SLICE", "1/1").split("/"))
    for call in count(1):
        numbers = range((call - 1) * len(_FAILURES), call * len(_FAILURES))
        yield [Case(call, _FAILURES[n % len(_FAILURES)]) for n in numbers if (n + 1 - begin) % every == 0]


@pytest.mark.parametrize("pair", PAIRS)
def test_invariants_hold_for_two_concurrent_requests(
    fault_injection: FaultInjection, report_sample: Callable[[str], None], pair: str
) -> None:
    requests, tried, calls = ConcurrentRequests(fault_injection), 0, 0
    for cases in _sliced() if EVERY else _sampled(pair):
        held = [requests.run(PAIRS[pair](fault_injection), case) for case in cases]
        if held and not any(held):
            break
        tried += len(held)
        calls = cases[0].held_at if cases else calls
    print(f"{pair}: {tried} interleavings")
    assert tried > 1
    report_sample(f"{tried} of at least {calls * len(_FAILURES)} interleavings")
