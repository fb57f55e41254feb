"""Two requests at once, with one held at each of its AWS calls: the invariants hold whatever fails.

`make test` runs a sample. `make interleavings` runs one case of every class of equivalent ones. INTERLEAVING_LOG names a file
with results, which a later run continues, and INTERLEAVING_MINUTES limits a run.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.workflow.concurrent_requests import PAIRS, Case, ConcurrentRequests, Failure, Run
from tests.workflow.conftest import Account
from tests.workflow.fault_injection import DENIED, FINAL, FaultInjection
from tests.workflow.interleavings import Exploration, Result

EVERY = bool(os.environ.get("EVERY_INTERLEAVING"))
pytestmark = [pytest.mark.long, pytest.mark.timeout(0 if EVERY else 900)]

# For each pair, calls at which the first request is held: in its check, while it creates key and secret, and near its end.
_SAMPLE = tuple(
    Case(pair, held_at, failure)
    for number, pair in enumerate(PAIRS)
    for held_at, failure in (
        (12 + 2 * number, None),
        (40 + 4 * number, Failure(of_first=False, call=24 + 5 * number, kind=DENIED)),
        (54 + 5 * number, Failure(of_first=True, call=60 + 7 * number, kind=FINAL)),
        (95 + 3 * number, None),
    )
)
# Cases that share a sweep.
_AT_ONCE = 24
# A run says nothing if the machine is so slow that a client gives a held call up.
_ATTEMPTS = 5


class Runner:
    """Runs cases in a fresh account, unless their results are in the log."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._log = Path(os.environ["INTERLEAVING_LOG"]) if "INTERLEAVING_LOG" in os.environ else None
        self._deadline = time.monotonic() + 60 * float(os.environ.get("INTERLEAVING_MINUTES", "inf"))
        lines = self._log.read_text().splitlines() if self._log and self._log.exists() else []
        self.known = {found["case"]: Result.parse(found["result"]) for found in map(json.loads, lines)}

    def run(self, cases: list[Case]) -> bool:
        """Runs the cases whose results are unknown. Returns False if the time is over."""
        for _ in range(_ATTEMPTS):
            unknown = [case for case in cases if str(case) not in self.known]
            for begin in range(0, len(unknown), _AT_ONCE):
                if time.monotonic() > self._deadline:
                    return False
                self._keep(self.runs(unknown[begin : begin + _AT_ONCE]))
        assert all(str(case) in self.known for case in cases), "a client gives up every time"
        return True

    def runs(self, cases: list[Case]) -> list[Run]:
        self._account.reset()
        self._account.aws.control("PUT", "assumptions", {"trail": {"lose": 1}})
        return ConcurrentRequests(self.world).run_all(cases)

    @property
    def world(self) -> FaultInjection:
        return FaultInjection(self._account.aws, self._account.outcomes)

    def _keep(self, runs: list[Run]) -> None:
        results = {str(run.case): Result.of(run) for run in runs if not run.is_late}
        self.known |= results
        if self._log:
            with self._log.open("a") as log:
                for case, result in results.items():
                    log.write(json.dumps({"case": case, "result": result.as_json()}) + "\n")


@pytest.fixture
def runner(fast_account: Account) -> Iterator[Runner]:
    yield Runner(fast_account)
    fast_account.reset()


def test_invariants_hold_for_two_concurrent_requests(runner: Runner, report_sample: Callable[[str], None]) -> None:
    if EVERY:
        explorations = _explore(runner)
        left = [one.pair for one in explorations if not one.is_whole]
        report_sample("\n".join(map(str, explorations)))
    else:
        assert runner.run([*_SAMPLE])
        left = []
        report_sample(f"{len(_SAMPLE)} classes of interleavings")

    assert {case: result.wrong for case, result in runner.known.items() if result.wrong} == {}
    assert any(result.is_held for result in runner.known.values())
    assert any(result.is_blocked for result in runner.known.values())
    assert left == []


def _explore(runner: Runner) -> list[Exploration]:
    explorations = [Exploration(pair) for pair in PAIRS]
    parts = {part: next(part) for one in explorations for part in one.parts()}
    while parts and runner.run([case for cases in parts.values() for case in cases]):
        for part, cases in [*parts.items()]:
            try:
                parts[part] = part.send([runner.known[str(case)] for case in cases])
            except StopIteration:
                del parts[part]
    for one in explorations:
        print(one)
    return explorations
