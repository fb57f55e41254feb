"""Every state machine is a sound graph whose tasks all fail in known ways; neither cfn-lint nor SAM reads them."""

import inspect
import re
from typing import Any

import pytest

from latchkey import errors
from latchkey.registry.table import LEASE_SECONDS
from latchkey.systems import SYSTEMS
from tests.contract.artefacts import (
    FOLDERS,
    FUNCTIONS,
    GLOBALS,
    MACHINE_TEXTS,
    MACHINES,
    sentence_to_folder,
    states,
    targets,
    tasks,
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
# A function that runs in more than one place, under the name of what it does there.
OTHER_NAMES = {
    "Check value": "create_secret",
    "Look at grants": "clean_up_grants",
    "Report success": "report_outcome",
    "Report rejection": "report_outcome",
    "Report failure": "report_outcome",
}
ALL_TASKS = [(machine, name) for machine in MACHINES for name in tasks(machine)]
each_machine = pytest.mark.parametrize("machine", MACHINES)
each_task = pytest.mark.parametrize(("machine", "name"), ALL_TASKS, ids=[f"{machine}: {name}" for machine, name in ALL_TASKS])


def reached(machine: str, start: str) -> set[str]:
    seen, waiting = set(), {start}
    while waiting:
        state = waiting.pop()
        seen.add(state)
        waiting |= targets(states(machine)[state]) - seen
    return seen


def waited(retry: dict[str, Any]) -> float:
    """Seconds between the first attempt and the last, without jitter."""
    pauses = [retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt for attempt in range(retry["MaxAttempts"])]
    total: float = sum(min(pause, retry.get("MaxDelaySeconds", pause)) for pause in pauses)
    return total


def retry_of(task: dict[str, Any], name: str) -> dict[str, Any]:
    [retry] = [retry for retry in task["Retry"] if name in retry["ErrorEquals"]]
    found: dict[str, Any] = retry
    return found


@each_machine
def test_it_is_jsonata_and_short_enough_to_read(machine: str) -> None:
    text = MACHINE_TEXTS[machine]

    assert MACHINES[machine]["QueryLanguage"] == "JSONata"
    assert len(text.splitlines()) <= 120
    assert "$." not in re.sub(r"\{%.*?%\}", "", text), "a JSONPath outside of an expression"


@each_machine
def test_every_target_exists(machine: str) -> None:
    named = set().union(*map(targets, states(machine).values()), {MACHINES[machine]["StartAt"]})

    assert named <= set(states(machine))


@each_machine
def test_every_state_is_reached(machine: str) -> None:
    assert reached(machine, MACHINES[machine]["StartAt"]) == set(states(machine))


@each_machine
def test_every_state_comes_to_an_end(machine: str) -> None:
    for state in states(machine):
        assert {states(machine)[name]["Type"] for name in reached(machine, state)} & {"Succeed", "Fail"}, state


@each_task
def test_every_task_has_a_timeout_longer_than_its_functions(machine: str, name: str) -> None:
    task = tasks(machine)[name]
    function = FUNCTIONS[re.sub(r"\W|Arn", "", task["Resource"])]

    assert task["TimeoutSeconds"] > function.get("Timeout", GLOBALS["Timeout"])


def test_a_lease_outlives_every_function_that_may_hold_it() -> None:
    assert max(tasks(machine)[name]["TimeoutSeconds"] for machine, name in ALL_TASKS) < LEASE_SECONDS


@each_machine
def test_the_machine_may_run_longer_than_the_longest_wait_of_a_task(machine: str) -> None:
    longest = max(waited(retry) for task in tasks(machine).values() for retry in task["Retry"])

    assert MACHINES[machine]["TimeoutSeconds"] >= 2 * longest


@each_task
def test_what_is_not_yet_effective_is_asked_for_six_minutes_at_a_fixed_pause(machine: str, name: str) -> None:
    retry = retry_of(tasks(machine)[name], "NotYetEffective")

    assert retry["BackoffRate"] == 1
    assert 350 <= waited(retry) <= 400


@each_task
def test_throttling_and_lambdas_own_failures_are_retried_with_backoff_and_jitter(machine: str, name: str) -> None:
    retry = retry_of(tasks(machine)[name], "TransientAwsError")

    assert RESERVED - {"States.ALL"} == set(retry["ErrorEquals"]) - {"TransientAwsError"}
    assert (retry["BackoffRate"], retry["JitterStrategy"]) == (2, "FULL")


@each_task
def test_a_final_error_is_never_retried_by_name(machine: str, name: str) -> None:
    retried = {error for retry in tasks(machine)[name]["Retry"] for error in retry["ErrorEquals"]}
    # A grant that may not be revoked now is asked for a few times more before somebody is called.
    beyond = {"AccessDenied"} if name == "Clean up grants" else set()

    assert retried & LEAVES == {"NotYetEffective", "TransientAwsError"} | beyond


@each_task
def test_every_error_name_is_ours_or_reserved(machine: str, name: str) -> None:
    task = tasks(machine)[name]

    assert {error for handler in (*task["Retry"], *task["Catch"]) for error in handler["ErrorEquals"]} <= LEAVES | RESERVED


@each_task
def test_every_task_catches_whatever_comes_and_this_last(machine: str, name: str) -> None:
    assert tasks(machine)[name]["Catch"][-1]["ErrorEquals"] == ["States.ALL"]


@each_machine
def test_no_system_is_named(machine: str) -> None:
    assert [name for name in SYSTEMS if name in MACHINE_TEXTS[machine].lower()] == []


@each_machine
def test_branches_look_at_facts_alone(machine: str) -> None:
    conditions = [choice["Condition"] for state in states(machine).values() for choice in state.get("Choices", [])]

    assert conditions
    assert [condition for condition in conditions if re.search(r"[=<>\"']| in ", condition)] == []


@each_task
def test_a_task_is_a_short_sentence_whose_verb_is_its_function(machine: str, name: str) -> None:
    folder = OTHER_NAMES.get(name) or sentence_to_folder(name)
    expected = "".join(part.title() for part in folder.split("_"))

    assert folder in FOLDERS
    assert tasks(machine)[name]["Resource"] == f"${{{expected}FunctionArn}}"
    assert re.fullmatch(r"[A-Z][a-z]+( [a-z]+){1,2}", name)


@each_machine
def test_choices_are_questions(machine: str) -> None:
    choices = [name for name, state in states(machine).items() if state["Type"] == "Choice"]

    assert choices
    assert all(re.fullmatch(r"[A-Z][a-z]+( [a-z-]+)+\?", name) for name in choices)


@each_task
def test_no_task_collects_the_whole_document(machine: str, name: str) -> None:
    """Variables carry what later steps need; a state's output is only what the next one reads."""
    assert len([key for key in ("Assign", "Output") if key in tasks(machine)[name]]) <= 1
