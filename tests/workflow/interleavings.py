"""All interleavings of two requests, with one run for those that differ only in the order of calls that commute.

The first request is held at each of its AWS calls while the second one runs until it ends or waits for the first. One of them
can fail, the first one at the call at which it is held or later. Two rules say which cases lead to the same state. One of those
runs:

- If the call at which the first request is held commutes with every call that the second one makes in the meantime, the first
  request can as well be held one call later.
- A function that fails leaves the effects that it has had. Between two effects, it does not matter which call fails and how.
"""

import json
import re
from collections import Counter
from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any, Self

from tests.workflow.concurrent_requests import Case, Failure, Run
from tests.workflow.fault_injection import DENIED, FINAL, WORK
from tests.workflow.footprints import Footprints, TracedCall

SUCCESSES = ("Access Onboarded", "Access Handed Off")
# How many members of a class of failures are tried until the request fails.
_MOST_TRIED = 3
# How many cases a part yields at once.
_AT_ONCE = 8
_HOLDS_AT_ONCE = 3
KINDS = {kind.name: kind for kind in (FINAL, DENIED)}


@dataclass(frozen=True)
class Failing:
    """A class of failures of one request.

    Each member is the number of a call, its number among those that can fail, and the name of a kind. The first one runs. The
    others are tried in turn if the request succeeds although its call fails.
    """

    members: tuple[tuple[int, int, str], ...]

    def since(self, number: int) -> "Failing":
        """The members from a call on."""
        return Failing(tuple(member for member in self.members if member[0] >= number))

    def failures(self, *, of_first: bool) -> list[Failure]:
        return [Failure(of_first, call, KINDS[kind]) for _, call, kind in self.members]


@dataclass(frozen=True)
class Result:
    """What later cases need to know about a run.

    Holding the first request, which makes `calls` calls, is equivalent until the first of `conflicts`. These are its calls that
    do not commute with those of the second one while it was held.
    """

    is_held: bool
    is_blocked: bool
    outcomes: tuple[str, ...]
    conflicts: tuple[int, ...]
    calls: int
    first: tuple[Failing, ...]
    second: tuple[Failing, ...]
    can_fail: tuple[int, ...]
    second_can_fail: int
    wrong: tuple[str, ...]

    @classmethod
    def of(cls, run: Run) -> Self:
        first, second = run.of_first, run.of_second
        footprints = Footprints(run.calls)
        can_fail = tuple(number for number, call in enumerate(first, 1) if _can_fail(call))
        return cls(
            run.is_held,
            run.is_blocked,
            run.outcomes,
            _conflicts(run, footprints) if run.is_held else (),
            len(first),
            failing_classes(first, footprints),
            failing_classes(second, footprints),
            can_fail,
            sum(map(_can_fail, second)),
            tuple(run.wrong),
        )

    @property
    def next_holds(self) -> list[int]:
        """The calls at which holding the first request begins another class, and at which it then probably does."""
        return [number + 1 for number in self.conflicts if number < self.calls]

    @property
    def end(self) -> int:
        """The last call at which holding the first request is equivalent."""
        return self.next_holds[0] - 1 if self.next_holds else self.calls

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found

    @classmethod
    def parse(cls, found: dict[str, Any]) -> Self:
        tuples = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
        for name in ("first", "second"):
            tuples[name] = tuple(Failing(tuple(map(tuple, one["members"]))) for one in found[name])
        return cls(**found | tuples)

    def interleavings(self, begin: int, end: int) -> int:
        """How many cases this run stands for, with every failure, if the first request is held from `begin` to `end`."""
        later = [sum(number >= held for number in self.can_fail) for held in range(begin, end + 1)]
        return sum(1 + len(KINDS) * (of_first + self.second_can_fail) for of_first in later)


type Steps = Generator[list[Case], list[Result]]


class Exploration:
    """The classes of interleavings of one pair.

    Each of the `parts` yields cases and receives their results. It yields no case while it waits for the first one.
    """

    def __init__(self, pair: str) -> None:
        self.pair = pair
        self._held = list[tuple[int | None, Result]]()
        self._are_held_known = False
        self._left = 3
        self.interleavings = self.classes = self.runs = 0

    def __str__(self) -> str:
        part = "all" if self.is_whole else "not all"
        return f"{self.pair}: {self.interleavings} interleavings, {self.classes} classes, {self.runs} runs, {part} of them"

    @property
    def is_whole(self) -> bool:
        return self._left == 0

    def parts(self) -> list[Steps]:
        return [self._until_end(part) for part in (self._without_failure(), self._first_fails(), self._second_fails())]

    def _until_end(self, part: Steps) -> Steps:
        yield from part
        self._left -= 1

    def _without_failure(self) -> Steps:
        holds = [1]
        while holds:
            # The runs for later classes save time if their classes begin where this one lets expect.
            result, *_ = yield [Case(self.pair, held_at) for held_at in holds[:_HOLDS_AT_ONCE]]
            self._add(holds[0], result, result.interleavings(holds[0], result.end))
            holds = result.next_holds
        [result] = yield [Case(self.pair, None)]
        self._add(None, result, 1 + len(KINDS) * (len(result.can_fail) + result.second_can_fail))
        self._are_held_known = True

    def _add(self, begin: int | None, result: Result, interleavings: int) -> None:
        self._held.append((begin, result))
        self.classes += 1
        self.runs += 1
        self.interleavings += interleavings

    def _first_fails(self) -> Steps:
        yield from self._wait()
        for begin, result in self._held:
            later = [one.since(begin or 1) for one in result.first]
            yield from self._failing(begin, [one for one in later if one.members], of_first=True)

    def _second_fails(self) -> Steps:
        """A class of failures that the run of a former class of calls covers does not run again."""
        covered = dict[Failing, int]()
        yield from self._wait()
        for begin, result in self._held:
            classes = [one for one in result.second if begin is None or covered.get(one, 0) < begin]
            found = yield from self._failing(begin, classes, of_first=False)
            covered |= {one: run.end for one, run in zip(classes, found, strict=True)}

    def _wait(self) -> Steps:
        while not self._are_held_known:
            yield []

    def _failing(
        self, held_at: int | None, classes: list[Failing], *, of_first: bool
    ) -> Generator[list[Case], list[Result], list[Result]]:
        """Runs one member of each class, and another one if the request succeeds nevertheless."""
        self.classes += len(classes)
        results = dict[Failing, Result]()
        left = [(one, failure) for one in classes for failure in one.failures(of_first=of_first)[:1]]
        tried = Counter[Failing]()
        while left:
            some, left = left[:_AT_ONCE], left[_AT_ONCE:]
            self.runs += len(some)
            found = yield [Case(self.pair, held_at, failure) for _, failure in some]
            for (one, _), result in zip(some, found, strict=True):
                results[one] = result
                tried[one] += 1
                others = one.failures(of_first=of_first)[tried[one] : _MOST_TRIED]
                if others and result.outcomes and result.outcomes[0 if of_first else 1] in SUCCESSES:
                    left.append((one, others[0]))
        return [results[one] for one in classes]


def failing_classes(calls: list[TracedCall], footprints: Footprints) -> tuple[Failing, ...]:
    """The classes of failures of one request, whose calls are given: one per function and number of its effects."""
    classes = dict[tuple[int, int], list[tuple[int, int, str]]]()
    invocation = effects = work = 0
    former = ""
    for number, call in enumerate(calls, 1):
        if call.principal != former:
            invocation, effects, former = invocation + 1, 0, call.principal
        if not _can_fail(call):
            continue
        work += 1
        # A call that is denied has had no effect.
        classes.setdefault((invocation, effects), []).append((number, work, DENIED.name))
        if footprints.of(call).writes:
            effects += 1
            classes.setdefault((invocation, effects), []).append((number, work, FINAL.name))
    # First the call that would have the next effect, and last the one after whose effect the class begins.
    return tuple(Failing(tuple(members[::-1])) for members in classes.values())


def _can_fail(call: TracedCall) -> bool:
    return re.search(WORK, call.principal) is not None


def _conflicts(run: Run, footprints: Footprints) -> tuple[int, ...]:
    others = [footprints.of(call) for call in run.between]
    begin = run.case.held_at or 1
    found = [(number, footprints.of(call)) for number, call in enumerate(run.of_first[begin - 1 :], begin)]
    return tuple(number for number, one in found if not all(one.commutes_with(other) for other in others))
