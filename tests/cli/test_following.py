"""What is shown of a request while it is carried out, from the history of its execution."""

from datetime import UTC, datetime, timedelta
from typing import Any

from latchkey_cli.following import Outcome, Progress, Step, _print_news, drawn, steps_of
from tests.cli.screens import ReadScreen

START = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)


def event(seconds: float, kind: str, **details: Any) -> dict[str, Any]:
    return {"timestamp": START + timedelta(seconds=seconds), "type": kind, **details}


def entered(seconds: float, name: str, kind: str = "Task") -> dict[str, Any]:
    return event(seconds, f"{kind}StateEntered", stateEnteredEventDetails={"name": name})


def failed(seconds: float, error: str) -> dict[str, Any]:
    return event(seconds, "LambdaFunctionFailed", lambdaFunctionFailedEventDetails={"error": error})


REPEATED = [
    event(0, "ExecutionStarted"),
    entered(0, "Check request"),
    event(0, "LambdaFunctionScheduled"),
    failed(1, "NotYetEffective"),
    event(6, "LambdaFunctionScheduled"),
    event(7, "TaskStateExited"),
    entered(7, "Confirms a hand-off?", "Choice"),
    event(7, "ChoiceStateExited"),
    entered(7, "Create key"),
    event(7, "LambdaFunctionScheduled"),
    failed(8, "TransientAwsError"),
]


def test_a_step_that_was_repeated_has_its_retries_and_no_error() -> None:
    first, second = steps_of(REPEATED)

    assert (first.name, first.retries, first.failed, first.elapsed(START)) == ("Check request", 1, False, 7.0)
    assert (second.name, second.retries, second.error, second.ended) == ("Create key", 0, "TransientAwsError", None)


def test_choices_are_no_steps() -> None:
    assert [step.name for step in steps_of(REPEATED)] == ["Check request", "Create key"]


def test_a_step_whose_error_was_caught_has_failed() -> None:
    [step] = steps_of([*REPEATED[8:], event(9, "TaskStateExited")])

    assert (step.failed, step.error) == (True, "TransientAwsError")


def test_the_step_at_which_an_execution_was_stopped_has_failed() -> None:
    *_, last = steps_of([*REPEATED, event(9, "ExecutionAborted")])

    assert last.failed


def test_each_step_is_one_line_where_nobody_looks_at_a_terminal() -> None:
    screen, progress = ReadScreen(), Progress(0.0)
    progress.steps = steps_of(REPEATED)
    _print_news(screen, progress)
    _print_news(screen, progress)
    progress.steps = steps_of([*REPEATED, event(10, "LambdaFunctionScheduled")])
    _print_news(screen, progress)

    assert screen.notes.splitlines() == [
        "  ✓ Check request (7.0 s) repeated once",
        "  … Create key: repeated once after TransientAwsError",
    ]


def test_what_a_request_waits_for_is_said_once() -> None:
    screen, progress = ReadScreen(), Progress(0.0, waiting_for="request other-1 has been running for this access")
    _print_news(screen, progress)
    _print_news(screen, progress)

    assert screen.notes.splitlines() == ["  … waits: request other-1 has been running for this access"]


def shown(progress: Progress) -> list[str]:
    screen = ReadScreen(80)
    screen.out.print(drawn(progress, None, START + timedelta(seconds=9)))
    return [line.rstrip() for line in screen.lines]


def test_the_present_step_is_drawn_with_its_time_and_its_retries() -> None:
    progress = Progress(0.0, steps_of(REPEATED), waiting_for="")

    assert shown(progress) == [
        "✓ Check request 7.0 s repeated once",
        "• Create key    2.0 s about to be repeated after TransientAwsError",
    ]


def test_the_last_step_is_done_once_there_is_an_outcome() -> None:
    progress = Progress(0.0, (Step("Report success", START),), outcome=Outcome("Access Onboarded", {}))

    assert shown(progress) == ["✓ Report success 9.0 s"]


def test_the_parts_of_a_request_are_a_bar() -> None:
    assert "━━━━━━━━━━━━┈┈┈┈┈┈┈┈┈┈┈┈" in shown(Progress(0.0, (Step("Onboard each line", START),), count=(50, 100)))[1]
