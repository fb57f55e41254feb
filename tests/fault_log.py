"""The combinations of calls and failures that earlier runs have tried, so that a long loop can run in parts."""

import json
import os
import time
from pathlib import Path

from tests.sampling import Place

_BEGAN = time.monotonic()


class FaultLog:
    """The combinations of one test. FAULT_LOG names the file with those of all tests, and FAULT_MINUTES limits a run."""

    def __init__(self) -> None:
        self._test = os.environ["PYTEST_CURRENT_TEST"].split(" ")[0]
        self._path = Path(os.environ["FAULT_LOG"]) if "FAULT_LOG" in os.environ else None
        self._deadline = _BEGAN + 60 * float(os.environ.get("FAULT_MINUTES", "inf"))
        lines = self._path.read_text().splitlines() if self._path and self._path.exists() else []
        found = [json.loads(line) for line in lines]
        self._tried = {(one["kind"], one["function"], one["call"]): one["met"] for one in found if one["test"] == self._test}

    @property
    def is_over(self) -> bool:
        """Whether the time of this run is over."""
        return time.monotonic() > self._deadline

    def met(self, kind: str, place: Place) -> bool | None:
        """Whether the failure hit a call in an earlier run. None if no run has tried it."""
        return self._tried.get((kind, place.function, place.call))

    def note(self, kind: str, place: Place, *, met: bool) -> None:
        """Records a combination after which every invariant held."""
        if self._path:
            tried = {"test": self._test, "kind": kind, "function": place.function, "call": place.call, "met": met}
            with self._path.open("a") as log:
                log.write(json.dumps(tried) + "\n")
