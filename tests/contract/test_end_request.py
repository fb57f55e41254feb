"""end-request: it starts whenever an onboarding ends without success, waits for what still runs, and does not give up soon."""

import re

import pytest

from latchkey.onboarding.read_execution import EndedExecution
from tests.contract.artefacts import FUNCTIONS, GLOBALS, MACHINE_TEXTS, STATE_MACHINES, states, targets, tasks
from tests.contract.test_state_machines import retry_of, waited

STATES, TASKS = states("end-request"), tasks("end-request")
TELLING = ("Read execution", "Report success", "Report failure")


def test_every_end_but_success_starts_it() -> None:
    [event] = STATE_MACHINES["EndRequestStateMachine"]["Events"].values()
    pattern = event["Properties"]["Pattern"]

    # https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
    assert set(pattern["detail"]["status"]) == {"FAILED", "TIMED_OUT", "ABORTED"}
    assert pattern["detail"]["stateMachineArn"] == [{"Ref": "OnboardStateMachine"}]
    assert (pattern["source"], event["Properties"]["InputPath"]) == (["aws.states"], "$.detail")


def test_it_waits_until_no_function_can_still_run() -> None:
    called = {re.sub(r"\W|Arn", "", task["Resource"]) for task in tasks("onboard-access").values()}
    longest = max(FUNCTIONS[name].get("Timeout", GLOBALS["Timeout"]) for name in called)

    assert STATES["Wait for functions"]["Seconds"] > longest
    assert STATES["Is it at rest?"]["Default"] == "Wait for functions"


def test_whatever_it_finds_is_told() -> None:
    assert {name for name, state in STATES.items() if "Succeed" in targets(state)} == {"Is it answered?", *TELLING[1:]}


def test_it_uses_facts_that_the_function_tells() -> None:
    told = {field.alias or name for name, field in EndedExecution.model_fields.items()}
    used = {word.split(".")[1].split()[0] for word in MACHINE_TEXTS["end-request"].split("{% ") if word.startswith("$ended.")}

    assert used
    assert used <= told


@pytest.mark.parametrize("name", TELLING)
def test_an_outage_of_hours_delays_an_outcome_and_loses_none(name: str) -> None:
    assert waited(retry_of(TASKS[name], "States.ALL")) > 12 * 3600
    assert TASKS[name]["Retry"][-1]["ErrorEquals"] == ["States.ALL"]


def test_an_access_that_does_not_prove_itself_is_undone_like_any_other() -> None:
    assert TASKS["Validate access"]["Catch"][-1]["Next"] == "Undo onboarding"
    assert TASKS["Undo onboarding"]["Catch"][-1] == {
        "ErrorEquals": ["States.ALL"],
        "Next": "Report failure",
        "Assign": {"left": True},
    }
