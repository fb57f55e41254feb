"""What a point finds: a value, or why it could not be settled."""

from dataclasses import dataclass, field

from live_check.evidence import Evidence

Value = str | int | float | bool


@dataclass(frozen=True)
class Answer:
    """The value that a point found, and a sentence about what was seen."""

    value: Value
    seen: str


class UnsettledError(Exception):
    """A point that cannot be settled in this account or run. The message says why."""


class StoppedError(Exception):
    """The run was interrupted."""


@dataclass(frozen=True)
class Finding:
    """The result of one point. `answer` is None if the point is not settled; `reason` says why."""

    point: str
    register: str
    switch: str | None
    question: str
    source: str
    answer: Answer | None
    reason: str
    seconds: float
    evidence: Evidence = field(default_factory=Evidence)
