"""The state machine is a sound graph whose tasks all fail in known ways; neither cfn-lint nor SAM reads it."""

import inspect
import re
from typing import Any

import pytest

from latchkey import errors
from latchkey.registry import LEASE_SECONDS
from latchkey.systems import SYSTEMS
from tests.contract.artefacts import (
    FOLDERS,
    FUNCTIONS,
    GLOBALS,
    MACHINE,
    MACHINE_TEXT,
    STATES,
    TASKS,
    sentence_to_folder,
    targets,
)

# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html and the Lambda API's exceptions; a function
# that crashes comes by the name in its answer: https://github.com/awslabs/aws-deployment-framework/issues/758
RESERVED = {
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Runtime.OutOfMemory",
    "Sandbox.Timedout",
    "States.ALL",
    "States.Timeout",
}
LEAVES = {
    name
    for name, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, errors.LatchkeyError) and error is not errors.LatchkeyError
}
# A function that runs in more than one place of the machine, under the name of what it does there.
OTHER_NAMES = {
    "Check value": "create_secret",
    "Report success": "report_outcome",
    "Report rejection": "report_outcome",
    "Report failure": "report_outcome",
}
tasks = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def reached(start: str) -> set[str]:
    seen, waiting = set(), {start}
    while waiting:
        state = waiting.pop()
        seen.add(state)
        waiting |= targets(STATES[state]) - seen
    return seen


def test_it_is_jsonata_and_short_enough_to_read() -> None:
    assert MACHINE["QueryLanguage"] == "JSONata"
    assert len(MACHINE_TEXT.splitlines()) <= 120
    assert "$." not in re.sub(r"\{%.*?%\}", "", MACHINE_TEXT), "a JSONPath outside of an expression"


def test_every_target_exists() -> None:
    assert set().union(*map(targets, STATES.values()), {MACHINE["StartAt"]}) <= set(STATES)


def test_every_state_is_reached() -> None:
    assert reached(MACHINE["StartAt"]) == set(STATES)


@pytest.mark.parametrize("state", STATES)
def test_every_state_comes_to_an_end(state: str) -> None:
    assert {STATES[name]["Type"] for name in reached(state)} & {"Succeed", "Fail"}


def test_success_is_reported_before_it_succeeds_and_failure_before_it_fails() -> None:
    assert {name for name, state in STATES.items() if "Succeed" in targets(state)} == {"Report success"}
    assert {name for name, state in STATES.items() if "Fail" in targets(state)} == set(OTHER_NAMES) - {"Check value"}


@tasks
def test_every_task_has_a_timeout_longer_than_its_functions(task: dict[str, Any]) -> None:
    function = FUNCTIONS[re.sub(r"\W|Arn", "", task["Resource"])]

    assert task["TimeoutSeconds"] > function.get("Timeout", GLOBALS["Timeout"])


def test_a_lease_outlives_every_function_that_may_hold_it() -> None:
    assert max(task["TimeoutSeconds"] for task in TASKS.values()) < LEASE_SECONDS


def test_the_machine_may_run_longer_than_the_longest_wait_of_a_task() -> None:
    assert MACHINE["TimeoutSeconds"] >= 2 * max(_waited(retry) for task in TASKS.values() for retry in task["Retry"])


def test_all_tasks_share_one_list_of_retries() -> None:
    first, *others = (task["Retry"][:2] for task in TASKS.values())
    assert all(other == first for other in others)


def test_only_what_must_happen_is_tried_again_whatever_came() -> None:
    beyond = {name: task["Retry"][2:] for name, task in TASKS.items() if len(task["Retry"]) > 2}
    assert set(beyond) == {name for name in TASKS if name.startswith(("Report ", "Undo "))}
    assert [[retry["ErrorEquals"] for retry in retries] for retries in beyond.values()] == [[["States.ALL"]]] * 4


def _waited(retry: dict[str, Any]) -> float:
    """Seconds between the first attempt and the last, without jitter."""
    pauses = [retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt for attempt in range(retry["MaxAttempts"])]
    waited: float = sum(min(pause, retry.get("MaxDelaySeconds", pause)) for pause in pauses)
    return waited


def _retry(name: str) -> dict[str, Any]:
    [retry] = [retry for retry in TASKS["Create key"]["Retry"] if name in retry["ErrorEquals"]]
    found: dict[str, Any] = retry
    return found


def test_what_is_not_yet_effective_is_asked_for_six_minutes_at_a_fixed_pause() -> None:
    retry = _retry("NotYetEffective")

    assert retry["BackoffRate"] == 1
    assert 350 <= _waited(retry) <= 400


def test_throttling_and_lambdas_own_failures_are_retried_with_backoff_and_jitter() -> None:
    retry = _retry("TransientAwsError")

    assert RESERVED - {"States.ALL"} == set(retry["ErrorEquals"]) - {"TransientAwsError"}
    assert (retry["BackoffRate"], retry["JitterStrategy"]) == (2, "FULL")


def test_a_final_error_is_never_retried() -> None:
    retried = {name for retry in TASKS["Create key"]["Retry"] for name in retry["ErrorEquals"]}

    assert retried & LEAVES == {"NotYetEffective", "TransientAwsError"}
    assert "States.ALL" not in retried


@tasks
def test_every_error_name_is_ours_or_reserved(task: dict[str, Any]) -> None:
    named = {name for handler in (*task["Retry"], *task["Catch"]) for name in handler["ErrorEquals"]}

    assert named <= LEAVES | RESERVED


@tasks
def test_every_task_catches_whatever_comes_and_this_last(task: dict[str, Any]) -> None:
    assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"]


def _caught(task: dict[str, Any]) -> dict[str, str]:
    return {error: catcher["Next"] for catcher in task["Catch"] for error in catcher["ErrorEquals"]}


def test_a_bad_request_is_rejected_before_anything_is_made() -> None:
    rejecting = {name for name, task in TASKS.items() if "InvalidRequest" in _caught(task)}

    assert rejecting == {"Check value", "Check request"}
    assert {_caught(TASKS[name])["InvalidRequest"] for name in rejecting} == {"Report rejection"}


@pytest.mark.parametrize("name", [name for name in TASKS if not name.startswith(("Report ", "Undo "))])
def test_any_other_error_is_undone_and_then_reported(name: str) -> None:
    caught = TASKS[name]["Catch"][-1]

    assert _caught(TASKS[name])["States.ALL"] == "Undo onboarding"
    assert caught["Assign"] == {"caught": "{% $states.errorOutput %}", "undone": [], "left": False}


def test_an_undo_that_fails_does_not_hide_the_failure() -> None:
    undo = TASKS["Undo onboarding"]

    assert undo["Catch"][-1]["Assign"] == {"left": True}
    assert (undo["Next"], _caught(undo)) == ("Report failure", {"States.ALL": "Report failure"})
    assert {"caught", "undone", "changed"} <= set(TASKS["Report failure"]["Arguments"])


def test_no_system_is_named() -> None:
    assert [name for name in SYSTEMS if name in MACHINE_TEXT.lower()] == []


def test_branches_look_at_facts_alone() -> None:
    conditions = [choice["Condition"] for state in STATES.values() for choice in state.get("Choices", [])]

    assert conditions
    assert [condition for condition in conditions if re.search(r"[=<>\"']| in ", condition)] == []


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_a_short_sentence_whose_verb_is_its_function(name: str) -> None:
    folder = OTHER_NAMES.get(name) or sentence_to_folder(name)
    expected = "".join(part.title() for part in folder.split("_"))

    assert folder in FOLDERS
    assert TASKS[name]["Resource"] == f"${{{expected}FunctionArn}}"
    assert re.fullmatch(r"[A-Z][a-z]+( [a-z]+){1,2}", name)


def test_choices_are_questions() -> None:
    choices = [name for name, state in STATES.items() if state["Type"] == "Choice"]

    assert choices
    assert all(re.fullmatch(r"[A-Z][a-z]+( [a-z]+)+\?", name) for name in choices)


@tasks
def test_no_task_collects_the_whole_document(task: dict[str, Any]) -> None:
    """Variables carry what later steps need; a state's output is only what the next one reads."""
    assert len([key for key in ("Assign", "Output") if key in task]) <= 1
