"""Follows a request: reads its record and the history of its execution until it has an outcome, and shows each step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError
from rich.console import RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from latchkey.aws.errors import is_missing
from latchkey_cli.connection import Connection
from latchkey_cli.problems import CliProblem
from latchkey_cli.screen import BAD, CAUTION, GOOD, QUIET, STRONG, Screen, duration
from latchkey_cli.sending import Sent

# GetExecutionHistory has a quota of 20 calls a second for the whole account:
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
# A request whose item does not appear was lost before it was received: its event is in the dead letters then.
_LOST_AFTER = 120.0
# An onboarding that waits for other requests, and is then rolled back, takes less.
_LONGEST = 3600.0
_STEPS = ("TaskStateEntered", "MapStateEntered", "WaitStateEntered")
_FAILURES = ("TaskFailed", "TaskTimedOut", "LambdaFunctionFailed", "LambdaFunctionTimedOut")


@dataclass(frozen=True)
class Step:
    """A state of the execution: when it began and ended, and how often it was repeated, for which error."""

    name: str
    began: datetime
    ended: datetime | None = None
    retries: int = 0
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether the last attempt has failed, as far as is known."""
        return self.ended is not None and bool(self.error)

    def elapsed(self, now: datetime) -> float:
        return max(0.0, ((self.ended or now) - self.began).total_seconds())


@dataclass(frozen=True)
class Outcome:
    """The outcome of a request."""

    kind: str
    detail: dict[str, Any]


@dataclass
class Progress:
    """What is known about a request while it is followed."""

    began: float
    steps: tuple[Step, ...] = ()
    waiting_for: str = ""
    execution_arn: str | None = None
    outcome: Outcome | None = None
    count: tuple[int, int] | None = None
    printed: int = 0
    printed_retries: dict[int, int] = field(default_factory=dict)
    printed_wait: str = ""


def steps_of(events: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps in the history of an execution. Choices and the end of the execution are no steps.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
    """
    steps: list[Step] = []
    attempts = 0
    for event in events:
        kind, at = event["type"], event["timestamp"]
        if kind in _STEPS:
            steps.append(Step(event["stateEnteredEventDetails"]["name"], at))
            attempts = 0
        elif not steps or steps[-1].ended is not None:
            continue
        elif kind.endswith("StateExited"):
            caught = bool(steps[-1].error) and attempts and steps[-1].retries < attempts
            steps[-1] = replace(steps[-1], ended=at, error=steps[-1].error if caught else "")
        elif kind in _FAILURES:
            attempts += 1
            details: Any = next((event[name] for name in event if name.endswith("EventDetails")), {})
            steps[-1] = replace(steps[-1], error=str(details.get("error", kind)))
        elif kind in ("TaskScheduled", "LambdaFunctionScheduled") and attempts:
            steps[-1] = replace(steps[-1], retries=attempts)
        elif kind in ("ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"):
            steps[-1] = replace(steps[-1], ended=at, error=steps[-1].error or kind)
    return tuple(steps)


def follow(
    connection: Connection,
    screen: Screen,
    sent: Sent,
    *,
    counted: Callable[[], tuple[int, int]] | None = None,
    seconds: float = _LONGEST,
) -> Outcome:
    """Shows the progress of a request until it has an outcome, which is returned.

    `counted` returns how many of its parts are done, and of how many, for a request that has parts. Raises CliProblem if the
    request does not appear, or takes longer than `seconds`. Ctrl-C ends the following, and never the request.
    """
    progress = Progress(time.monotonic())
    pause = _FIRST_PAUSE
    with _shown(screen, progress) as refresh:
        while progress.outcome is None:
            _read(connection, sent, progress)
            progress.count = counted() if counted else None
            refresh()
            waited = time.monotonic() - progress.began
            if progress.execution_arn is None and progress.outcome is None and waited > _LOST_AFTER:
                raise CliProblem(
                    f"Latchkey has not received the request {sent.request_id} in two minutes.",
                    "`latchkey dlq list` shows requests that could not be delivered, and the reason.",
                )
            if waited > seconds:
                raise CliProblem(
                    f"The request {sent.request_id} has no outcome yet.",
                    f"Continue with `latchkey outcome {sent.request_id} --follow`.",
                )
            if progress.outcome is None:
                time.sleep(pause)
                pause = min(pause * 1.3, _LONGEST_PAUSE)
    return progress.outcome


def recorded_outcome(connection: Connection, sent: Sent) -> Outcome | None:
    """The recorded outcome of a request, or None if it has none yet."""
    progress = Progress(time.monotonic())
    _read(connection, sent, progress)
    return progress.outcome


def _read(connection: Connection, sent: Sent, progress: Progress) -> None:
    item = connection.table.get("request", sent.item_id)
    if item and sent.event_id and sent.event_id in item.get("reusedBy", ()):
        item = connection.table.get("request", sent.conflict_id)
    progress.waiting_for = str(item.get("waitingFor", ""))
    progress.execution_arn = item.get("executionArn", progress.execution_arn)
    if progress.execution_arn:
        progress.steps = _steps(connection, progress.execution_arn) or progress.steps
    if "outcomeType" in item:
        progress.outcome = Outcome(str(item["outcomeType"]), json.loads(item["outcome"]))


def _steps(connection: Connection, execution_arn: str) -> tuple[Step, ...]:
    """The steps so far; none if the execution has not started. Without the permission, only the outcome is shown."""
    history = connection.client("stepfunctions").get_execution_history
    events: list[Mapping[str, Any]] = []
    given: dict[str, Any] = {"executionArn": execution_arn, "maxResults": 1000, "includeExecutionData": False}
    try:
        while True:
            page = history(**given)
            events += page["events"]
            if not page.get("nextToken"):
                return steps_of(events)
            given["nextToken"] = page["nextToken"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if is_missing(error) or code in ("ExecutionDoesNotExist", "AccessDeniedException"):
            return ()
        raise


@contextmanager
def _shown(screen: Screen, progress: Progress) -> Iterator[Callable[[], None]]:
    """Draws the progress on a terminal, and prints a line for each step elsewhere."""
    if not screen.is_live:
        yield lambda: _print_news(screen, progress)
        return
    with Live(console=screen.err, refresh_per_second=8, transient=False) as live:
        spinner = Spinner("dots", style="cyan")
        yield lambda: live.update(drawn(progress, spinner, datetime.now(UTC)), refresh=True)


def drawn(progress: Progress, spinner: Spinner | None, now: datetime) -> RenderableType:
    """The steps so far, the present one with a spinner."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=1)
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True, style=QUIET)
    grid.add_column(overflow="fold")
    for step in progress.steps:
        is_open = step.ended is None and progress.outcome is None
        mark: RenderableType = Text("✗", BAD) if step.failed else Text("✓", GOOD)
        if is_open:
            mark = spinner or Text("•", CAUTION)
        grid.add_row(mark, step.name, _seconds(step.elapsed(now)), _remark(step, progress.waiting_for if is_open else ""))
    if not progress.steps and progress.outcome is None:
        seconds = time.monotonic() - progress.began
        grid.add_row(spinner or "•", "Waiting for the request to start", _seconds(seconds), "")
    if progress.count and progress.outcome is None:
        done, of = progress.count
        grid.add_row("", Text(_bar(done, of), style="cyan"), "", f"{done:,} of {of:,}")
    return grid


def _bar(done: int, of: int, width: int = 24) -> str:
    full = width * done // of if of else 0
    return "━" * full + "┈" * (width - full)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def _remark(step: Step, waiting_for: str) -> Text:
    if step.failed:
        return Text(f"failed: {step.error}", style=BAD)
    parts = []
    if step.retries:
        times = "once" if step.retries == 1 else f"{step.retries} times"
        parts.append(f"repeated {times}{f' after {step.error}' if step.error else ''}")
    elif step.error and step.ended is None:
        parts.append(f"about to be repeated after {step.error}")
    if waiting_for:
        parts.append(waiting_for)
    return Text("; ".join(parts), style=CAUTION)


def _print_news(screen: Screen, progress: Progress) -> None:
    """Prints what has happened since the last call, one line each."""
    for number, step in enumerate(progress.steps):
        if step.ended is None and progress.outcome is None:
            if step.retries > progress.printed_retries.get(number, 0):
                progress.printed_retries[number] = step.retries
                screen.note("  … ", f"{step.name}: {_remark(step, progress.waiting_for).plain}")
        elif number >= progress.printed:
            progress.printed = number + 1
            remark = _remark(step, "").plain
            mark = ("  ✗ ", BAD) if step.failed else ("  ✓ ", GOOD)
            screen.note(mark, f"{step.name} ({_seconds(step.elapsed(datetime.now(UTC)))})", f" {remark}" if remark else "")
    if progress.waiting_for and progress.waiting_for != progress.printed_wait and progress.outcome is None:
        progress.printed_wait = progress.waiting_for
        screen.note("  … ", f"waits: {progress.waiting_for}")


def heading(screen: Screen, sent: Sent, what: str) -> None:
    """Says which request is followed."""
    screen.note((sent.kind, STRONG), f"  {what}" if what else "")
    screen.note((f"request {sent.request_id}", QUIET))
