"""The errors a state machine can tell apart: Step Functions compares class names, so each name is a public interface."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a request: the place (a JSON path) and the rule it breaks, never the value found there."""

    place: str
    rule: str


class LatchkeyError(Exception):
    """Base of all errors that Latchkey raises on purpose; its message never holds a secret's value."""


class InvalidRequest(LatchkeyError):
    """The request cannot be carried out as it is asked; nothing has been changed. The message is JSON: every problem.

    Step Functions keeps 32,768 characters of a cause, so of a hopeless request the first hundred problems are told.
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_TaskFailedEventDetails.html
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        told = sorted(set(problems))
        more = [Problem("detail", f"and {len(told) - 100} more")] if len(told) > 100 else []
        self.problems = (*told[:100], *more)
        super().__init__(json.dumps({"problems": [asdict(problem) for problem in self.problems]}))


class AccessDenied(LatchkeyError):
    """AWS refuses a call, and waiting will not change that."""


class Conflict(LatchkeyError):
    """Something else holds what this request wants, in a way that a retry does not solve."""


class NotYetEffective(LatchkeyError):
    """A change was made but does not count everywhere yet (tags, grants, roles): ask again after a fixed pause."""


class TransientAwsError(LatchkeyError):
    """Throttling, a 5xx, a broken connection or a held lease: ask again with backoff."""


class PolicyOverwritten(LatchkeyError):
    """Somebody wrote a policy without what was attached to it: attach it again. The message is JSON: the failed checks."""


class AccessNotEffective(LatchkeyError):
    """Everything was set up, yet a check of the finished access fails. The message is JSON: the failed checks."""


class ExecutionEnded(LatchkeyError):
    """The execution of a request ended before it was answered: aborted, timed out, or failed on the way to its report."""
