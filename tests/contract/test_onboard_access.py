"""onboard-access: a failure is rolled back and reported, and the execution's error says whether it was reported."""

from typing import Any

import pytest

from latchkey.onboarding.read_execution import REPORTED
from tests.contract.artefacts import states, targets, tasks

STATES, TASKS = states("onboard-access"), tasks("onboard-access")
REPORTS = {"Report success", "Report rejection", "Report failure"}


def _caught(task: dict[str, Any]) -> dict[str, str]:
    return {error: catcher["Next"] for catcher in task["Catch"] for error in catcher["ErrorEquals"]}


def test_success_is_reported_before_it_succeeds_and_failure_before_it_fails() -> None:
    assert {name for name, state in STATES.items() if "Succeed" in targets(state)} == {"Report success"}
    assert {name for name, state in STATES.items() if "Fail" in targets(state)} == REPORTS - {"Report success"}


def test_an_execution_that_did_not_report_ends_with_an_error_of_its_own() -> None:
    assert {name for name, task in TASKS.items() if _caught(task)["States.ALL"] == "Fail unreported"} == REPORTS
    assert STATES["Fail"]["Error"] == REPORTED
    assert STATES["Fail unreported"]["Error"] != REPORTED


def test_a_value_is_checked_unless_the_request_is_invalid_or_a_confirmation() -> None:
    """An input without these members, as an earlier version sent it, leads to the check."""
    [choice] = STATES["Brings a value?"]["Choices"]

    assert choice["Condition"] == "{% $states.input.confirms or $boolean($states.input.problems) %}"
    assert (choice["Next"], STATES["Brings a value?"]["Default"]) == ("Check request", "Check value")


@pytest.mark.parametrize("name", [name for name in TASKS if not name.startswith(("Report ", "Undo "))])
def test_any_other_error_is_rolled_back_and_then_reported(name: str) -> None:
    caught = TASKS[name]["Catch"][-1]

    assert _caught(TASKS[name])["States.ALL"] == "Undo onboarding"
    assert caught["Assign"] == {"errorOutput": "{% $states.errorOutput %}", "undone": [], "undoIncomplete": False}


def test_the_undo_receives_the_request_of_the_execution_or_null() -> None:
    """No variable holds the request if Check value or Check request failed."""
    arguments = TASKS["Undo onboarding"]["Arguments"]

    assert arguments["request"] == "{% $states.context.Execution.Input.request %}"
    assert arguments["confirms"] == "{% $states.context.Execution.Input.confirms %}"


def test_an_undo_that_fails_does_not_hide_the_failure() -> None:
    undo = TASKS["Undo onboarding"]

    assert undo["Catch"][-1]["Assign"] == {"undoIncomplete": True}
    assert (undo["Next"], _caught(undo)) == ("Report failure", {"States.ALL": "Report failure"})
    assert {"caught", "undone", "changed"} <= set(TASKS["Report failure"]["Arguments"])


def test_configure_access_receives_the_time_of_the_policies() -> None:
    assert TASKS["Attach policies"]["Assign"]["key"] == "{% $merge([$key, {'created': $states.result.created}]) %}"
    assert TASKS["Configure access"]["Arguments"]["key"] == "{% $key %}"


def test_policies_that_were_overwritten_are_attached_again_a_few_times() -> None:
    catching = {name: task for name, task in TASKS.items() if "PolicyOverwritten" in _caught(task)}
    choice = STATES[_caught(catching["Validate access"])["PolicyOverwritten"]]

    assert set(catching) == {"Validate access"}
    assert catching["Validate access"]["Catch"][0]["Assign"]["attachAttemptsLeft"] == "{% $attachAttemptsLeft - 1 %}"
    assert TASKS["Check request"]["Assign"]["attachAttemptsLeft"] > 1
    assert "$changed" in TASKS["Attach policies"]["Assign"]["changed"]
    assert targets(choice) == {"Attach policies", "Undo onboarding"}
