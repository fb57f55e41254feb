"""Two requests at once, with one held at each of its AWS calls: the invariants hold whatever fails.

The failures alternate over the calls. `make interleavings` combines every call with every failure at every later call.
"""

import os
from collections.abc import Iterator
from itertools import count, cycle, islice

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


def _cases() -> Iterator[Iterator[Case]]:
    """The cases of each call at which the first request is held: every failure, or the next ones of a fixed sequence."""
    # 37 has no factor in common with the number of failures, so the sequence visits all of them.
    sampled = cycle(_FAILURES[(37 * step) % len(_FAILURES)] for step in range(len(_FAILURES)))
    for call in count(1, 1 if EVERY else 9):
        failures = _FAILURES if EVERY else islice(sampled, 1)
        yield (Case(call, failure) for failure in failures)


@pytest.mark.parametrize("pair", PAIRS)
def test_invariants_hold_for_two_concurrent_requests(fault_injection: FaultInjection, pair: str) -> None:
    requests, tried = ConcurrentRequests(fault_injection), 0
    for cases in _cases():
        held = [requests.run(PAIRS[pair](fault_injection), case) for case in cases]
        tried += len(held)
        if not any(held):
            break
    print(f"{pair}: {tried} interleavings")
    assert tried > 1
