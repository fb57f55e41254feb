"""How much of a loop over calls and failures runs: a fixed sample or, with WHOLE=1, everything (`make test-all`)."""

import os
from dataclasses import dataclass

WHOLE = bool(os.environ.get("WHOLE"))


@dataclass(frozen=True)
class Place:
    """The n-th call of a function during one request."""

    function: str
    call: int

    @property
    def caller(self) -> str:
        """The pattern of a fault for the function's role."""
        return f"/latchkey-{self.function}Function"


@dataclass(frozen=True)
class Sample:
    """The first call of a function, and every `of`-th call from the one with the number `begin`, counted from 0, on."""

    of: int
    begin: int

    def places(self, calls: dict[str, int]) -> list[Place]:
        """The calls of each function that are taken. `calls` are the numbers of calls by function."""
        return [Place(name, call) for name in sorted(calls) for call in self._numbers(calls[name])]

    def _numbers(self, calls: int) -> list[int]:
        return [call for call in range(1, calls + 1) if WHOLE or call == 1 or (call - 1) % self.of == self.begin]


def one_in(of: int, begin: int = 0) -> Sample:
    return Sample(of, begin)
