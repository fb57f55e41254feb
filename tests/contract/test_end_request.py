"""end-request starts when an onboarding ends without success, waits for running functions, and reports an outcome."""

import re

from latchkey.onboarding.read_execution import EndedExecution
from tests.contract.artifacts import FUNCTIONS, GLOBALS, MACHINE_TEXTS, STATE_MACHINES, states, targets, tasks

STATES, TASKS = states("end-request"), tasks("end-request")


def test_every_status_but_success_starts_it() -> None:
    [event] = STATE_MACHINES["EndRequestStateMachine"]["Events"].values()
    pattern = event["Properties"]["Pattern"]

    # https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
    assert set(pattern["detail"]["status"]) == {"FAILED", "TIMED_OUT", "ABORTED"}
    machines = [f"{name}StateMachine" for name in ("Bulk", "Discover", "Offboard", "Onboard", "Rotate")]
    *named, reconciliation = pattern["detail"]["stateMachineArn"]
    assert named == [{"Ref": name} for name in machines]
    # A reference would be circular.
    assert reconciliation["wildcard"]["Fn::Sub"].endswith(":stateMachine:*ReconcileStateMachine-*")
    assert (pattern["source"], event["Properties"]["InputPath"]) == (["aws.states"], "$.detail")


def test_it_waits_until_no_function_of_the_onboarding_can_still_run() -> None:
    called = {re.sub(r"\W|Arn", "", task["Resource"]) for task in tasks("onboard-access").values()}
    longest = max(FUNCTIONS[name].get("Timeout", GLOBALS["Timeout"]) for name in called)

    assert STATES["Wait for functions"]["Seconds"] > longest
    assert STATES["Have functions stopped?"]["Default"] == "Wait for functions"


def test_it_succeeds_only_if_an_outcome_was_reported() -> None:
    succeeding = {name for name, state in STATES.items() if "Succeed" in targets(state)}

    assert succeeding == {
        "Is it reported?",
        "Is the outcome published?",
        "Report success",
        "Report failure",
        "Resume request",  # the execution that it starts reports the outcome
    }


def test_it_uses_only_members_that_read_execution_returns() -> None:
    returned = {field.alias or name for name, field in EndedExecution.model_fields.items()}
    used = set(re.findall(r"\$ended\.(\w+)", MACHINE_TEXTS["end-request"]))

    assert used
    assert used <= returned


def test_an_access_that_fails_its_validation_is_rolled_back() -> None:
    assert TASKS["Validate access"]["Catch"][-1]["Next"] == "Undo onboarding"
    assert TASKS["Undo onboarding"]["Catch"][-1] == {
        "ErrorEquals": ["States.ALL"],
        "Next": "Is the outcome published?",
        "Assign": {"undoIncomplete": True},
    }
