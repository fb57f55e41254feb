"""What the functions of a bulk request pass to each other: lines with their requests, and results."""

from __future__ import annotations

from typing import Any

from latchkey.errors import Problem
from latchkey.events.outcomes import Failure, StoredObject
from latchkey.registry.execution_input import ExecutionInput
from latchkey.wire import WireModel

FOLDER = "bulk/"
REQUESTS = "requests.jsonl"
RESULTS = "results.jsonl"


class RequestLine(WireModel):
    """The request of a line: the input of its onboarding execution."""

    line: int
    content: ExecutionInput


class CheckedManifest(WireModel):
    """A manifest whose lines are requests. `folder` is the prefix of everything that is stored about it."""

    manifest: StoredObject
    mode: str
    folder: str
    requests: StoredObject
    lines: int


class LineResult(WireModel):
    """How the request of a line ended. `outcome` is its detail type, or null if it is not known yet.

    `errors` are those of a rejection. `planHash` is that of a plan: in the line, it makes the request do what was planned.
    """

    line: int
    request_id: str
    access_id: str | None = None
    outcome: str | None = None
    status: str | None = None
    changed: bool | None = None
    plan_hash: str | None = None
    errors: tuple[Problem, ...] = ()
    failure: Failure | None = None


def result_of(line: int, request_id: str, detail_type: str, detail: dict[str, Any]) -> LineResult:
    """The result of a line from the outcome of its request."""
    return LineResult(
        line=line,
        requestId=request_id,
        accessId=detail.get("accessId"),
        outcome=detail_type,
        status=detail.get("status"),
        changed=detail.get("changed"),
        planHash=detail.get("planHash"),
        errors=tuple(Problem(each["place"], each["rule"]) for each in detail.get("errors", ())),
        failure=Failure(**detail["failure"]) if detail.get("failure") else None,
    )
