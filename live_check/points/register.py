"""The list of points, in the order in which the modules declare them."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass

from live_check.answers import Answer
from live_check.check import Check


@dataclass(frozen=True)
class Point:
    """A question. `register` is its number in docs/assumptions.md, `switch` that of the embedded AWS, if it has one."""

    name: str
    register: str
    switch: str | None
    services: tuple[str, ...]
    minutes: float
    ask: Callable[[Check], Answer]

    @property
    def question(self) -> str:
        return re.sub(r"\s+", " ", inspect.getdoc(self.ask) or "").partition("?")[0] + "?"

    @property
    def source(self) -> str:
        """Returns the first URL of the docstring: where AWS documents the subject, but not the answer."""
        found = re.search(r"https://\S+[^\s.,;]", inspect.getdoc(self.ask) or "")
        return found[0] if found else ""


POINTS: list[Point] = []


def point(
    name: str, register: str, *services: str, switch: str | None = None, minutes: float = 10
) -> Callable[[Callable[[Check], Answer]], Callable[[Check], Answer]]:
    """Declares a point. `services` are boto3's names of the services that it needs in the Region; `minutes` limit it."""

    def declare(ask: Callable[[Check], Answer]) -> Callable[[Check], Answer]:
        POINTS.append(Point(name, register, switch, services, minutes, ask))
        return ask

    return declare


def point_named(name: str) -> Point:
    return next(point for point in POINTS if point.name == name)
