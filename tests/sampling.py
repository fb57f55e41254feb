"""How much of a loop or of a table of cases runs: a fixed sample or, with WHOLE=1, everything (`make test-all`)."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

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


def some[T](values: Iterable[T], of: int, begin: int = 0) -> list[T]:
    """Every `of`-th value, from the one with the number `begin`, counted from 0, on."""
    return [value for number, value in enumerate(values) if WHOLE or (number - begin) % of == 0]


def each_value(*axes: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Combinations in which every value of every axis occurs: as many as the longest axis has values."""
    values = [[*axis] for axis in axes]
    if WHOLE:
        return [*product(*values)]
    return [tuple(axis[number % len(axis)] for axis in values) for number in range(max(map(len, values)))]
