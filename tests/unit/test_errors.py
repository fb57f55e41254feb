"""The errors that state machines and senders read."""

from __future__ import annotations

import json

from latchkey import errors
from latchkey.errors import InvalidRequest, LatchkeyError, Problem


def test_an_invalid_request_lists_every_problem_once_in_order() -> None:
    error = InvalidRequest([Problem("system", "is missing"), Problem("key", "is wrong"), Problem("system", "is missing")])
    assert json.loads(str(error)) == {
        "problems": [{"place": "key", "rule": "is wrong"}, {"place": "system", "rule": "is missing"}]
    }
    assert error.problems == (Problem("key", "is wrong"), Problem("system", "is missing"))


def test_a_hundred_problems_are_all_listed() -> None:
    problems = [Problem(f"place{number:03}", "is wrong") for number in range(100)]
    assert InvalidRequest(problems * 2).problems == tuple(problems)


def test_further_problems_are_counted() -> None:
    problems = [Problem(f"place{number:03}", "is wrong") for number in range(142)]
    error = InvalidRequest(reversed(problems))
    assert error.problems[:100] == tuple(problems[:100])
    [rest] = error.problems[100:]
    assert (rest.path, "42 more" in rest.rule) == ("detail", True)
    assert len(json.loads(str(error))["problems"]) == 101


def test_the_class_names_are_the_contract_with_the_state_machines() -> None:
    leaves = {name for name, kind in vars(errors).items() if isinstance(kind, type) and LatchkeyError in kind.__bases__}
    assert leaves == {
        "AccessDenied",
        "AccessNotEffective",
        "Conflict",
        "ExecutionEnded",
        "InvalidRequest",
        "NotYetEffective",
        "PolicyOverwritten",
        "TransientAwsError",
    }
