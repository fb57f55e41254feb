"""A mistake in a state machine, or in a JSONata expression of one, is found."""

import json
from typing import Any

import pytest

from tests.audit.conftest import ROOT
from tools.audit.machines import check_machines, definitions, walks

FILE = "statemachine/clean-up-grants.asl.json"


# What each change breaks: the rule and the end of the place.
WRONG = {
    "unknown next state": ("asl", "definition", '"Next": "Clean up grants"', '"Next": "Clean up"'),
    "unknown member": ("asl", "definition", '"Type": "Wait", "Seconds"', '"Type": "Wait", "Secs"'),
    "bad syntax": ("jsonata", "Was it cleaned up?.Choices.0.Condition", "$boolean($errorOutput)", "$boolean($errorOutput"),
    "unassigned variable": (
        "variable",
        "Was it cleaned up?.Choices.0.Condition",
        "$boolean($errorOutput)",
        "$boolean($failure)",
    ),
    "left out function": ("variable", "Was it cleaned up?.Choices.0.Condition", "$boolean($errorOutput)", "$eval('true')"),
    "no result": ("undefined", ": Was it cleaned up?.Choices.1.Condition", "$published.continues", "$published.goesOn"),
    "wait for an object": ("evaluation", ": Wait for the list.Seconds", "$look.graceSeconds", "$look"),
    "condition that is null": ("evaluation", ": Was it cleaned up?.Choices.0", "$boolean($errorOutput)", "$errorOutput"),
    "wrong type": (
        "evaluation",
        ": Can the result still change?.Choices.0.Condition",
        "$not($waited)",
        "$substring($waited, 1)",
    ),
    "other path": ("walk", ": path", "$look.orphaned %}", "$not($look.orphaned) %}"),
    "no walk": ("unevaluated", "Continue.Output.keys", "$published.continues", "$not($published.continues or true)"),
}


@pytest.fixture(scope="module")
def found() -> dict[str, set[tuple[str, str]]]:
    """The rule and the place of each finding, for the definition itself and after each change."""
    right = definitions(ROOT)[FILE]
    text = json.dumps(right)
    assert all(before in text for _, _, before, _ in WRONG.values())
    changed = {name: json.loads(text.replace(before, after)) for name, (_, _, before, after) in WRONG.items()}
    walked = [walk | {"machine": name} for walk in walks() for name in ("right", *WRONG) if walk["machine"] == FILE]
    findings = check_machines({"right": right} | changed, walked).findings
    return {name: {(one.rule, one.where) for one in findings if one.file == name} for name in ("right", *WRONG)}


def test_the_definition_has_no_finding(found: dict[str, set[tuple[str, str]]]) -> None:
    assert found["right"] == set()


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_found(found: dict[str, set[tuple[str, str]]], name: str) -> None:
    rule, place, _, _ = WRONG[name]

    assert [where for broken, where in found[name] if broken == rule and where.endswith(place)]


def test_a_wrong_argument_of_a_task_is_found() -> None:
    walked = [walk for walk in walks() if walk["machine"] == FILE]
    sent: dict[str, Any] = {"Clean up grants": {"accessId": "another"}}
    changed = [walk | {"sent": sent} if "Clean up grants" in walk["sent"] else walk for walk in walked]

    findings = check_machines({FILE: definitions(ROOT)[FILE]}, changed).findings
    assert {(finding.rule, finding.where.partition(": ")[2]) for finding in findings} == {("walk", "Clean up grants.Arguments")}
