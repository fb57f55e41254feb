"""onboard-access rolls back and reports a failure. The error of the execution shows whether the outcome was reported."""

from typing import Any

import pytest

from latchkey.onboarding.read_execution import REPORTED
from tests.contract.artifacts import FOLDERS, MACHINES, ROOT, logical_id, states, targets, tasks

STATES, TASKS = states("onboard-access"), tasks("onboard-access")
REPORTS = {"Report success", "Report plan", "Report rejection", "Report failure"}
SUCCESSES = {"Report success", "Report plan"}


def _catchers(task: dict[str, Any]) -> dict[str, str]:
    """The next state for each error that a task catches."""
    return {error: catcher["Next"] for catcher in task["Catch"] for error in catcher["ErrorEquals"]}


def test_an_execution_succeeds_or_fails_only_after_its_outcome_was_reported() -> None:
    assert {name for name, state in STATES.items() if "Succeed" in targets(state)} == SUCCESSES
    assert {name for name, state in STATES.items() if "Fail" in targets(state)} == REPORTS - SUCCESSES


def test_an_execution_that_could_not_report_ends_with_another_error() -> None:
    assert {name for name, task in TASKS.items() if _catchers(task)["States.ALL"] == "Fail unreported"} == REPORTS
    assert STATES["Fail"]["Error"] == REPORTED
    assert STATES["Fail unreported"]["Error"] != REPORTED


def test_a_value_is_checked_only_after_every_rule_passed_and_the_request_is_checked_again() -> None:
    restores, choice = STATES["Is there a value to check?"]["Choices"]

    assert MACHINES["onboard-access"]["StartAt"] == "Check request"
    assert TASKS["Check request"]["Next"] == "Is there a value to check?"
    assert (choice["Condition"], choice["Next"]) == ("{% $plan.valueToCheck %}", "Check value")
    assert STATES["Is there a value to check?"]["Default"] == "Is it to be planned?"
    assert (restores["Condition"], restores["Next"]) == ("{% $plan.restores %}", "Restore access")
    assert TASKS["Restore access"]["Next"] == "Check request"
    assert TASKS["Restore access"]["Output"] == "{% $states.context.Execution.Input %}"
    assert TASKS["Check value"]["Next"] == "Check request"
    assert TASKS["Check value"]["Output"] == "{% $merge([$states.context.Execution.Input, $states.result]) %}"


def test_a_request_is_planned_before_anything_is_changed_and_checked_again_if_it_follows_a_plan() -> None:
    [to_plan], [only] = STATES["Is it to be planned?"]["Choices"], STATES["Is it only planned?"]["Choices"]

    assert (to_plan["Condition"], to_plan["Next"]) == ("{% $plan.toPlan %}", "Plan access")
    assert STATES["Is it to be planned?"]["Default"] == "Confirms a hand-off?"
    assert TASKS["Plan access"]["Next"] == "Is it only planned?"
    assert (only["Condition"], only["Next"]) == ("{% $plan.planOnly %}", "Report plan")
    assert STATES["Is it only planned?"]["Default"] == "Check request"
    assert "$merge([$toCheck, {'followsPlan': true}])" in TASKS["Plan access"]["Output"]
    assert TASKS["Check request"]["Assign"]["toCheck"] == "{% $states.input %}"


@pytest.mark.parametrize("name", [name for name in TASKS if not name.startswith(("Leave ", "Report ", "Undo "))])
def test_an_error_that_no_other_catcher_names_is_rolled_back(name: str) -> None:
    catcher = TASKS[name]["Catch"][-1]

    assert _catchers(TASKS[name])["States.ALL"] == "Undo onboarding"
    assert catcher["Assign"] == {"errorOutput": "{% $states.errorOutput %}", "undone": [], "undoIncomplete": False}


def test_what_was_recorded_is_not_rolled_back_because_of_the_former_key() -> None:
    assert [(catcher["ErrorEquals"], catcher["Next"]) for catcher in TASKS["Leave key"]["Catch"]] == [
        (["States.ALL"], "Report success")
    ]


def test_the_rollback_receives_the_request_from_the_input_of_the_execution() -> None:
    """If Check value or Check request failed, no variable contains the request."""
    arguments = TASKS["Undo onboarding"]["Arguments"]

    assert arguments["request"] == "{% $states.context.Execution.Input.request %}"
    assert arguments["confirms"] == "{% $states.context.Execution.Input.confirms %}"


def test_a_failed_rollback_does_not_hide_the_original_failure() -> None:
    undo = TASKS["Undo onboarding"]

    assert undo["Catch"][-1]["Assign"] == {"undoIncomplete": True}
    assert (undo["Next"], _catchers(undo)) == ("Report failure", {"States.ALL": "Report failure"})
    assert {"caught", "undone", "changed"} <= set(TASKS["Report failure"]["Arguments"])


def test_configure_access_receives_the_time_at_which_the_policies_were_attached() -> None:
    assert TASKS["Attach policies"]["Assign"]["key"] == "{% $merge([$key, {'settlesFrom': $states.result.settlesFrom}]) %}"
    assert TASKS["Configure access"]["Arguments"]["key"] == "{% $key %}"


def test_overwritten_policies_are_attached_again_a_limited_number_of_times() -> None:
    catching_tasks = {name: task for name, task in TASKS.items() if "PolicyOverwritten" in _catchers(task)}
    choice = STATES[_catchers(catching_tasks["Validate access"])["PolicyOverwritten"]]

    assert set(catching_tasks) == {"Validate access", "Validate before configuring"}
    for task in catching_tasks.values():
        assert task["Catch"][0]["Assign"]["attachAttemptsLeft"] == "{% $attachAttemptsLeft - 1 %}"
    assert TASKS["Check request"]["Assign"]["attachAttemptsLeft"] > 1
    assert "$changed" in TASKS["Attach policies"]["Assign"]["changed"]
    assert targets(choice) == {"Attach policies", "Undo onboarding"}


def test_everything_else_is_checked_before_a_configuration_that_no_call_takes_back() -> None:
    first, second = STATES["Has a resource to configure?"]["Choices"]

    assert (first["Condition"], first["Next"]) == (
        "{% $plan.hasResource and $plan.checksFirst %}",
        "Validate before configuring",
    )
    assert (second["Condition"], second["Next"]) == ("{% $plan.hasResource %}", "Configure access")
    assert (TASKS["Validate before configuring"]["Next"], TASKS["Rehearse record"]["Next"]) == (
        "Rehearse record",
        "Configure access",
    )
    assert TASKS["Validate before configuring"]["Arguments"]["configured"] is False
    assert TASKS["Rehearse record"]["Arguments"]["rehearses"] is True


def test_a_confirmation_configures_what_a_staged_request_left() -> None:
    [choice] = STATES["Confirms a hand-off?"]["Choices"]

    assert choice["Next"] == "Has a resource to configure?"
    assert TASKS["Configure access"]["Arguments"]["confirms"] == "{% $plan.confirms %}"


# The functions that change nothing outside the registry, and the rollback.
_NOT_PLANNED = {"check_request", "plan_access", "report_outcome", "undo_onboarding", "validate_access"}


def test_a_plan_runs_every_function_that_changes_something() -> None:
    """A new step must be part of the plan."""
    invoked = {task["Resource"] for task in TASKS.values()}
    functions = {folder for folder in FOLDERS if f"${{{logical_id(folder)}Arn}}" in invoked}
    source = "".join(path.read_text() for path in (ROOT / "layers/latchkey/latchkey/planning").glob("*.py"))

    assert {folder for folder in functions - _NOT_PLANNED if f"latchkey.onboarding.{folder} import" not in source} == set()
