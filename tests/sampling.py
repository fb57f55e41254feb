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
    """Of every `of` calls of a function, those with the numbers in `take`, counted from 0; at least the first call."""

    of: int
    take: frozenset[int]

    def places(self, calls: dict[str, int]) -> list[Place]:
        """The calls of each function that are taken. `calls` are the numbers of calls by function."""
        return [Place(name, call) for name in sorted(calls) for call in self._numbers(calls[name])]

    def _numbers(self, calls: int) -> list[int]:
        every = range(1, calls + 1)
        return [call for call in every if WHOLE or (call - 1) % self.of in self.take] or [*every[:1]]


def one_in(of: int) -> Sample:
    return Sample(of, frozenset({0}))


def all_but_one_in(of: int) -> Sample:
    """The calls that `one_in` leaves out."""
    return Sample(of, frozenset(range(1, of)))
