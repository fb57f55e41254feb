"""Every state machine is a sound graph that handles every error in a known way. Neither cfn-lint nor SAM checks this."""

import inspect
import json
import re
from typing import Any, NamedTuple

import pytest

from latchkey import errors
from latchkey.cleanup.execution_input import CleanUpInput
from latchkey.registry.execution_input import ExecutionInput
from latchkey.registry.requests import RETRIED_FOR
from latchkey.registry.table import LEASE_SECONDS
from latchkey.systems import SYSTEMS
from latchkey.wire import WireModel
from tests.contract.artifacts import (
    FOLDERS,
    FUNCTIONS,
    GLOBALS,
    MACHINE_TEXTS,
    MACHINES,
    logical_id,
    sentence_to_folder,
    shared_policies,
    states,
    targets,
    tasks,
)
from tools.format_asl import formatted

OUR_ERRORS = {name for name, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, errors.LatchkeyError)}
# Names that Step Functions and Lambda report, and two exceptions of Python that nobody expects. A function that crashes is
# named by the errorType in its response: https://github.com/awslabs/aws-deployment-framework/issues/758
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
OTHER_ERRORS = {
    "KeyError",
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Runtime.ImportModuleError",
    "Runtime.OutOfMemory",
    "Sandbox.Timedout",
    "States.QueryEvaluationError",
    "States.Timeout",
    "ValueError",
}
PERMANENT = OUR_ERRORS - {"NotYetEffective", "TransientAwsError"} | {"States.QueryEvaluationError"}


class Retries(NamedTuple):
    """How often an error is retried, and how many seconds pass between the first attempt and the last, without jitter."""

    attempts: int
    seconds: float


NONE, SETTLING, BACKOFF = Retries(0, 0), Retries(72, 360), Retries(6, 61)
# A new account can run ten functions at once: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
QUEUED = Retries(60, 827.171875)
_WAITING = {"NotYetEffective": SETTLING, "Lambda.TooManyRequestsException": QUEUED}
_STEP = dict.fromkeys(OUR_ERRORS | OTHER_ERRORS, BACKOFF) | dict.fromkeys(PERMANENT, NONE) | _WAITING
# Nothing follows a report or an undo, so no error is permanent there.
_LAST = dict.fromkeys(OUR_ERRORS | OTHER_ERRORS, Retries(5, 135)) | _WAITING
_LONG = dict.fromkeys(OUR_ERRORS | OTHER_ERRORS, Retries(24, 68_580)) | {"NotYetEffective": SETTLING}
# The clean-up waits for an operator who fixes a permission before it reports a grant as irrevocable.
_REVOCATION = _STEP | {"AccessDenied": Retries(4, 450)}

# The retries of each task, and the state that follows when they are used up.
HANDLED: dict[str, dict[str, tuple[dict[str, Retries], str]]] = {
    "clean-up-grants": {
        "Leave key": (_LAST, "Succeed"),
        "Delete key": (_STEP, "Fail"),
        "Report deleted key": (_STEP, "Fail"),
        "Look at grants": (_STEP, "Fail"),
        "Clean up grants": (_REVOCATION, "Observe access"),
        "Observe access": (_STEP, "Report clean up"),
        "Report clean up": (_STEP, "Fail"),
    },
    "end-request": {
        "Read execution": (_LONG, "Fail"),
        "Validate access": (_STEP, "Undo onboarding"),
        "Report success": (_LONG, "Fail"),
        "Undo onboarding": (_LAST, "Is the outcome published?"),
        "Report failure": (_LONG, "Fail"),
        "Resume request": (_LONG, "Fail"),
        "Record failure": (_LAST, "Report failure"),
    },
    "offboard-access": {
        "Check offboarding": (_STEP, "Record failure"),
        "Plan access": (_STEP, "Record failure"),
        "Detach resource": (_STEP, "Record failure"),
        "Survey grants": (_STEP, "Record failure"),
        "Clean up grants": (_REVOCATION, "Record failure"),
        "Report clean up": (_STEP, "Record failure"),
        "Remove policies": (_STEP, "Record failure"),
        "Delete secret": (_STEP, "Record failure"),
        "Record offboarding": (_STEP, "Record failure"),
        "Report plan": (_LAST, "Fail unreported"),
        "Report success": (_LAST, "Fail unreported"),
        "Report rejection": (_LAST, "Fail unreported"),
        "Record failure": (_LAST, "Report failure"),
        "Report failure": (_LAST, "Fail unreported"),
    },
    "onboard-access": {
        "Check value": (_STEP, "Undo onboarding"),
        "Check request": (_STEP, "Undo onboarding"),
        "Plan access": (_STEP, "Undo onboarding"),
        "Restore access": (_STEP, "Undo onboarding"),
        "Create key": (_STEP, "Undo onboarding"),
        "Create secret": (_STEP, "Undo onboarding"),
        "Attach policies": (_STEP, "Undo onboarding"),
        "Validate before configuring": (_STEP, "Undo onboarding"),
        "Rehearse record": (_STEP, "Undo onboarding"),
        "Configure access": (_STEP, "Undo onboarding"),
        "Validate access": (_STEP, "Undo onboarding"),
        "Record access": (_STEP, "Undo onboarding"),
        "Leave key": (_LAST, "Report success"),
        "Report success": (_LAST, "Fail unreported"),
        "Report plan": (_LAST, "Fail unreported"),
        "Report rejection": (_LAST, "Fail unreported"),
        "Undo onboarding": (_LAST, "Report failure"),
        "Report failure": (_LAST, "Fail unreported"),
    },
}
HANDLED["rotate-token"] = {
    "Check rotation": (_STEP, "Undo rotation"),
    "Plan access": (_STEP, "Undo rotation"),
    "Stage token": (_STEP, "Undo rotation"),
    "Record pending rotation": (_STEP, "Undo rotation"),
    "Promote token": (_STEP, "Undo rotation"),
    "Stage token again": (_STEP, "Undo rotation"),
    "Promote token again": (_STEP, "Undo rotation"),
    "Apply token": (_STEP, "Undo rotation"),
    "Validate access": (_STEP, "Undo rotation"),
    "Record rotation": (_STEP, "Undo rotation"),
    "Withdraw token": (_STEP, "Undo rotation"),
    "Record withdrawal": (_STEP, "Undo rotation"),
    "Report plan": (_LAST, "Fail unreported"),
    "Report success": (_LAST, "Fail unreported"),
    "Report rejection": (_LAST, "Fail unreported"),
    "Undo rotation": (_LAST, "Report failure"),
    "Report failure": (_LAST, "Fail unreported"),
}
HANDLED["reconcile"] = {
    "Take inventory": (_STEP, "Sweep grants"),
    "Sweep grants": (_STEP, "Is there an inventory?"),
    "Check values": (_STEP, "Reconcile access"),
    "Reconcile access": (_STEP, "End batch"),
    "Decide repairs": (_STEP, "Was it requested?"),
    "Report success": (_LAST, "Fail unreported"),
    "Report rejection": (_LAST, "Fail unreported"),
    "Report failure": (_LAST, "Fail unreported"),
}
HANDLED["bulk-onboard"] = {
    "Check manifest": (_STEP, "Fail unreported"),
    "Onboard line": (_STEP, "Fail line"),
    "Start line": (_STEP, "Fail line"),
    # The execution of a request takes up to an hour, and another one that ends it takes time as well.
    "Read outcome": (_STEP | {"NotYetEffective": Retries(1440, 7200)}, "Fail line"),
    "Complete bulk": (_STEP, "Fail unreported"),
    "Report success": (_LAST, "Fail unreported"),
    "Report rejection": (_LAST, "Fail unreported"),
}
HANDLED["discover"] = {
    "Discover resources": (_STEP, "Report failure"),
    "Report success": (_LAST, "Fail unreported"),
    "Report rejection": (_LAST, "Fail unreported"),
    "Report failure": (_LAST, "Fail unreported"),
}
CAUGHT_BY_NAME = {
    ("discover", "Discover resources", "InvalidRequest"): "Report rejection",
    ("reconcile", "Take inventory", "InvalidRequest"): "Report rejection",
    ("bulk-onboard", "Check manifest", "InvalidRequest"): "Report rejection",
    ("rotate-token", "Check rotation", "InvalidRequest"): "Report rejection",
    ("rotate-token", "Plan access", "InvalidRequest"): "Report rejection",
    ("onboard-access", "Check value", "InvalidRequest"): "Report rejection",
    ("onboard-access", "Check request", "InvalidRequest"): "Report rejection",
    ("onboard-access", "Plan access", "InvalidRequest"): "Report rejection",
    ("offboard-access", "Plan access", "InvalidRequest"): "Report rejection",
    ("offboard-access", "Check offboarding", "InvalidRequest"): "Report rejection",
    ("onboard-access", "Validate access", "PolicyOverwritten"): "Can policies be attached again?",
    ("onboard-access", "Validate before configuring", "PolicyOverwritten"): "Can policies be attached again?",
}
INPUTS: dict[str, type[WireModel]] = {
    "clean-up-grants": CleanUpInput,
    "discover": ExecutionInput,
    "offboard-access": ExecutionInput,
    "onboard-access": ExecutionInput,
    "reconcile": ExecutionInput,
    "rotate-token": ExecutionInput,
}
# Tasks that do not have the name of their function.
OTHER_NAMES = {
    "Check value": "create_secret",
    "Check values": "create_secret",
    "Look at grants": "clean_up_grants",
    "Survey grants": "clean_up_grants",
    "Report deleted key": "report_clean_up",
    "Record failure": "record_offboarding",
    "Validate before configuring": "validate_access",
    "Rehearse record": "record_access",
    "Stage token": "create_secret",
    "Stage token again": "create_secret",
    "Promote token again": "promote_token",
    "Record pending rotation": "record_rotation",
    "Record withdrawal": "record_rotation",
    "Undo rotation": "undo_onboarding",
    "Read outcome": "onboard_line",
    "Start line": "onboard_line",
    "Report success": "report_outcome",
    "Report plan": "report_outcome",
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


def retries(retrier: dict[str, Any]) -> Retries:
    attempts = retrier["MaxAttempts"]
    pauses = [retrier["IntervalSeconds"] * retrier["BackoffRate"] ** attempt for attempt in range(attempts)]
    return Retries(attempts, sum(min(pause, retrier.get("MaxDelaySeconds", pause)) for pause in pauses))


def handler(handlers: list[dict[str, Any]], error: str) -> dict[str, Any]:
    """The first retrier or catcher that matches an error: it alone decides, even if its attempts are used up.

    https://states-language.net/spec.html#retrying-after-error
    """
    return next(found for found in handlers if {error, "States.ALL"} & set(found["ErrorEquals"]))


@each_machine
def test_the_definition_is_formatted(machine: str) -> None:
    assert MACHINE_TEXTS[machine] == formatted(MACHINE_TEXTS[machine]), "run make format"


@each_machine
def test_the_query_language_is_jsonata(machine: str) -> None:
    assert MACHINES[machine]["QueryLanguage"] == "JSONata"
    assert "$." not in re.sub(r"\{%.*?%\}", "", MACHINE_TEXTS[machine]), "a JSONPath outside of an expression"


@each_machine
def test_every_target_exists(machine: str) -> None:
    named = set().union(*map(targets, states(machine).values()), {MACHINES[machine]["StartAt"]})

    assert named <= set(states(machine))


@each_machine
def test_every_state_can_be_reached(machine: str) -> None:
    assert reached(machine, MACHINES[machine]["StartAt"]) == set(states(machine))


@each_machine
def test_every_state_leads_to_an_end(machine: str) -> None:
    for state in states(machine):
        assert {states(machine)[name]["Type"] for name in reached(machine, state)} & {"Succeed", "Fail"}, state


@pytest.mark.parametrize(("machine", "model"), INPUTS.items(), ids=INPUTS)
def test_a_definition_reads_only_members_that_its_input_always_has(machine: str, model: type[WireModel]) -> None:
    """AWS fails a state whose expression has no result, so that the input must be complete."""
    # A Map passes its items to the states that it repeats.
    outer = {name: state for name, state in MACHINES[machine]["States"].items() if state["Type"] != "Map"}
    text = json.dumps(outer)
    read = set(re.findall(r"\$states\.(?:input|context\.Execution\.Input)\.(\w+)", text))

    assert read
    assert read <= {field.alias for field in model.model_fields.values()}
    assert "$exists" not in text


@each_task
def test_every_task_times_out_later_than_its_function(machine: str, name: str) -> None:
    task = tasks(machine)[name]
    function = FUNCTIONS[re.sub(r"\W|Arn", "", task["Resource"])]

    assert task["TimeoutSeconds"] > function.get("Timeout", GLOBALS["Timeout"])


def test_a_lease_lasts_longer_than_every_function_that_can_hold_it() -> None:
    holders = {logical_id(folder) for folder in FOLDERS if "HoldLeases" in shared_policies(FUNCTIONS[logical_id(folder)])}
    found = [tasks(machine)[name] for machine, name in ALL_TASKS]
    holding = [task["TimeoutSeconds"] for task in found if re.sub(r"\W|Arn", "", task["Resource"]) in holders]

    assert holding
    assert max(holding) < LEASE_SECONDS


@each_machine
def test_the_machine_can_run_longer_than_the_longest_retries_of_a_task(machine: str) -> None:
    longest = max(expected.seconds for handled, _ in HANDLED[machine].values() for expected in handled.values())

    assert MACHINES[machine]["TimeoutSeconds"] >= 2 * longest


@each_task
def test_each_error_is_retried_as_often_as_that_can_help(machine: str, name: str) -> None:
    retriers = tasks(machine)[name]["Retry"]
    expected, _ = HANDLED[machine][name]

    assert {error: retries(handler(retriers, error)) for error in OUR_ERRORS | OTHER_ERRORS} == expected


@each_task
def test_each_error_is_caught_by_the_state_that_answers_it(machine: str, name: str) -> None:
    catchers = tasks(machine)[name]["Catch"]
    _, target = HANDLED[machine][name]
    expected = {error: CAUGHT_BY_NAME.get((machine, name, error), target) for error in OUR_ERRORS | OTHER_ERRORS}

    assert {error: handler(catchers, error)["Next"] for error in OUR_ERRORS | OTHER_ERRORS} == expected


@each_task
def test_retries_of_steps_are_jittered(machine: str, name: str) -> None:
    """Executions that were throttled together must not retry together."""
    expected, _ = HANDLED[machine][name]
    for error in ("TransientAwsError", "Lambda.TooManyRequestsException"):
        retrier = handler(tasks(machine)[name]["Retry"], error)

        assert retrier.get("JitterStrategy") == ("FULL" if expected[error] in (BACKOFF, QUEUED) else None)


@each_task
def test_states_all_comes_alone_and_last(machine: str, name: str) -> None:
    """https://states-language.net/spec.html#retrying-after-error"""
    for handlers in (tasks(machine)[name]["Retry"], tasks(machine)[name]["Catch"]):
        assert [found["ErrorEquals"] for found in handlers if "States.ALL" in found["ErrorEquals"]] == [["States.ALL"]]
        assert handlers[-1]["ErrorEquals"] == ["States.ALL"]


@each_task
def test_every_error_name_exists(machine: str, name: str) -> None:
    """A name with a typo matches nothing, and Step Functions does not complain."""
    task = tasks(machine)[name]
    named = {error for found in (*task["Retry"], *task["Catch"]) for error in found["ErrorEquals"]}

    assert named <= OUR_ERRORS | OTHER_ERRORS | {"States.ALL"}


@each_machine
def test_no_system_is_named(machine: str) -> None:
    assert [name for name in SYSTEMS if name in MACHINE_TEXTS[machine].lower()] == []


@each_machine
def test_branches_test_facts_and_compute_nothing(machine: str) -> None:
    inner = [state["ItemProcessor"]["States"] for state in states(machine).values() if "ItemProcessor" in state]
    every = [state for found in (states(machine), *inner) for state in found.values()]
    conditions = [choice["Condition"] for state in every for choice in state.get("Choices", [])]

    assert conditions
    assert [condition for condition in conditions if re.search(r"[=<>\"']| in ", condition)] == []


@each_task
def test_a_task_is_named_after_its_function(machine: str, name: str) -> None:
    folder = OTHER_NAMES.get(name) or sentence_to_folder(name)
    expected = "".join(part.title() for part in folder.split("_"))

    assert folder in FOLDERS
    assert tasks(machine)[name]["Resource"] == f"${{{expected}FunctionArn}}"


@each_task
def test_no_task_collects_the_whole_document(machine: str, name: str) -> None:
    """Variables hold what later states need; the output of a state is only what the next state reads."""
    assert len([key for key in ("Assign", "Output") if key in tasks(machine)[name]]) <= 1


def test_a_request_waits_as_long_as_its_state_is_repeated() -> None:
    retriers = [retrier for state in MACHINES["onboard-access"]["States"].values() for retrier in state.get("Retry", [])]
    repeated = [retrier for retrier in retriers if "NotYetEffective" in retrier["ErrorEquals"] and retrier["MaxAttempts"]]

    assert repeated
    assert {retrier["IntervalSeconds"] * retrier["MaxAttempts"] for retrier in repeated} == {RETRIED_FOR.total_seconds()}
    assert {retrier["BackoffRate"] for retrier in repeated} == {1}
