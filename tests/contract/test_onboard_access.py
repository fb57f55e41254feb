"""onboard-access: whatever fails is undone and reported, and every end says whether it was."""

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


def test_an_end_that_was_not_reported_has_a_name_of_its_own() -> None:
    assert {name for name, task in TASKS.items() if _caught(task)["States.ALL"] == "Fail unreported"} == REPORTS
    assert STATES["Fail"]["Error"] == REPORTED
    assert STATES["Fail unreported"]["Error"] != REPORTED


def test_all_tasks_share_one_list_of_retries() -> None:
    first, *others = (task["Retry"][:2] for task in TASKS.values())
    assert all(other == first for other in others)


def test_only_what_must_happen_is_tried_again_whatever_came() -> None:
    beyond = {name: task["Retry"][2:] for name, task in TASKS.items() if len(task["Retry"]) > 2}
    assert set(beyond) == {name for name in TASKS if name.startswith(("Report ", "Undo "))}
    assert [[retry["ErrorEquals"] for retry in retries] for retries in beyond.values()] == [[["States.ALL"]]] * 4


def test_a_bad_request_is_rejected_before_anything_is_made() -> None:
    rejecting = {name for name, task in TASKS.items() if "InvalidRequest" in _caught(task)}

    assert rejecting == {"Check value", "Check request"}
    assert {_caught(TASKS[name])["InvalidRequest"] for name in rejecting} == {"Report rejection"}


@pytest.mark.parametrize("name", [name for name in TASKS if not name.startswith(("Report ", "Undo "))])
def test_any_other_error_is_undone_and_then_reported(name: str) -> None:
    caught = TASKS[name]["Catch"][-1]

    assert _caught(TASKS[name])["States.ALL"] == "Undo onboarding"
    assert caught["Assign"] == {"caught": "{% $states.errorOutput %}", "undone": [], "left": False}


def test_an_undo_is_told_where_there_was_no_request() -> None:
    told = TASKS["Undo onboarding"]["Arguments"]["request"]

    assert told == TASKS["Report failure"]["Arguments"]["system"].replace("system", "request")


def test_an_undo_that_fails_does_not_hide_the_failure() -> None:
    undo = TASKS["Undo onboarding"]

    assert undo["Catch"][-1]["Assign"] == {"left": True}
    assert (undo["Next"], _caught(undo)) == ("Report failure", {"States.ALL": "Report failure"})
    assert {"caught", "undone", "changed"} <= set(TASKS["Report failure"]["Arguments"])


def test_who_configures_knows_since_when_the_policies_are_so() -> None:
    assert TASKS["Attach policies"]["Assign"]["key"] == "{% $merge([$key, {'created': $states.result.created}]) %}"
    assert TASKS["Configure access"]["Arguments"]["key"] == "{% $key %}"


def test_policies_that_somebody_wrote_over_are_attached_again_a_few_times() -> None:
    catching = {name: task for name, task in TASKS.items() if "PolicyOverwritten" in _caught(task)}
    choice = STATES[_caught(catching["Validate access"])["PolicyOverwritten"]]

    assert set(catching) == {"Validate access"}
    assert catching["Validate access"]["Catch"][0]["Assign"]["chances"] == "{% $chances - 1 %}"
    assert TASKS["Check request"]["Assign"]["chances"] > 1
    assert "$changed" in TASKS["Attach policies"]["Assign"]["changed"]
    assert targets(choice) == {"Attach policies", "Undo onboarding"}
