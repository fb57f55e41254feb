"""The errors of the functions. State machines compare their class names, so each name is a public interface."""

import json
from collections.abc import Iterable
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass


@dataclass(
    frozen=True, order=True, config=ConfigDict(extra="forbid", strict=True, validate_by_name=True, validate_by_alias=True)
)
class Problem:
    """One thing wrong with a request: where (`place`, a JSON path) and the rule it breaks. Never contains the value."""

    path: Annotated[str, Field(alias="place")]
    rule: str


_PROBLEMS = TypeAdapter(tuple[Problem, ...])

# Step Functions keeps 32,768 characters of a cause:
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_TaskFailedEventDetails.html
_MOST_PROBLEMS = 100


class LatchkeyError(Exception):
    """Base of every error that Latchkey raises on purpose. Its message never contains a secret value."""


class InvalidRequest(LatchkeyError):
    """The request is invalid, and nothing was changed. The message is JSON that lists the first hundred problems."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        every = sorted(set(problems))
        further = len(every) - _MOST_PROBLEMS
        more = [Problem("detail", f"and {further} more")] if further > 0 else []
        self.problems = (*every[:_MOST_PROBLEMS], *more)
        super().__init__(json.dumps({"problems": _PROBLEMS.dump_python(self.problems, by_alias=True)}))


class AccessDenied(LatchkeyError):
    """AWS denies a call, and waiting will not change that."""


class Conflict(LatchkeyError):
    """Something else uses what this request needs, in a way that a retry does not resolve."""


class NotYetEffective(LatchkeyError):
    """A change was made but is not effective everywhere yet (tags, grants, roles): retry after a fixed pause."""


class TransientAwsError(LatchkeyError):
    """Throttling, a 5xx status, a broken connection or a lease that is held: retry with backoff."""


class PolicyOverwritten(LatchkeyError):
    """A policy was overwritten without our statements: attach them again. The message is JSON that lists the failed checks."""


class AccessNotEffective(LatchkeyError):
    """Everything was set up, but a check of the finished access fails. The message is JSON that lists the failed checks."""


class ExecutionEnded(LatchkeyError):
    """The execution of a request was aborted, timed out or failed before the request had an outcome."""
