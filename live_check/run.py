"""One run: refuse, show the plan, ask, create the stack, ask the points, remove everything, and write the results."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from live_check import costs, leftovers, reports, stack
from live_check.answers import Finding, StoppedError
from live_check.asking import ask_all
from live_check.check import Clients, Stage
from live_check.names import PREFIX, Run
from live_check.patience import Patience
from live_check.points import Point
from live_check.stack import RefusedError

REMOVED, LEFT, REFUSED, INTERRUPTED = 0, 1, 2, 3
_STACK_SECONDS = 900.0
# Besides the longest point: the creation of the stack, and the removal at MediaTailor's one write per second.
_HOURS_AROUND = 0.25


@dataclass(frozen=True)
class Options:
    """How to run. `origin` is the base URL of the source locations; `hurry` shortens all waits."""

    points: Sequence[Point]
    folder: Path
    origin: str = ""
    hurry: float = 1


@dataclass
class Stop:
    """The first SIGINT or SIGTERM ends the points. The second one also ends the removal."""

    event: threading.Event = field(default_factory=threading.Event)

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.event.is_set():
            raise KeyboardInterrupt
        self.event.set()
        say("stopping and removing what was created; press Ctrl-C again to leave it")

    def install(self) -> None:
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self.handle)


def say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S}  {text}", flush=True)


def start(session: boto3.Session, options: Options, confirm: Callable[[], bool]) -> int:
    """Shows the plan, asks, and runs the check. Returns the exit status. Raises RefusedError if it must not run here."""
    clients, run = prepare(session)
    boundary = stack.boundary(clients, run)
    print(plan(run, options, boundary))
    if not confirm():
        print("Nothing was created.")
        return REMOVED
    stop = Stop()
    stop.install()
    return check(clients, run, options, boundary, stop.event)


def prepare(session: boto3.Session) -> tuple[Clients, Run]:
    """Returns clients and a new run. Raises RefusedError for the root user, and if resources have the prefix already."""
    clients = Clients(session)
    run = identify(clients, session)
    found = leftovers.find(clients)
    if found.foreign:
        raise RefusedError(
            f"Resources with the prefix {PREFIX} lack the tag of the check, so they are not its own: "
            f"{', '.join(map(str, found.foreign))}. Rename or remove them."
        )
    if found.resources:
        raise RefusedError(f"An earlier run left {', '.join(map(str, found.resources))}. Run make live-check-clean.")
    return clients, run


def identify(clients: Clients, session: boto3.Session) -> Run:
    try:
        return stack.identify(clients, session.region_name)
    except (ClientError, BotoCoreError) as error:
        raise RefusedError(f"The credentials cannot be used: {error}") from None


def plan(run: Run, options: Options, boundary: str) -> str:
    """Returns the plan to confirm: the account, the Region, the identity, the resources, the time and the cost."""
    hours = max((point.minutes for point in options.points), default=0) / 60 + _HOURS_AROUND
    lines = [
        f"Account   {run.account}",
        f"Region    {run.region}",
        f"Identity  {run.caller_arn}",
        f"Prefix    {run.prefix}",
        f"Roles     {'limited by ' + boundary if boundary else 'without permissions boundary'}",
        f"Time      up to {hours * 60:.0f} minutes",
        f"Cost      less than {costs.estimate(hours):.2f} USD",
        "",
        f"Creates a stack with {costs.KEYS} KMS keys, {costs.SECRETS} secrets, roles, a queue and an event bus,",
        "and for these points source locations, endpoints and flows without content.",
        "All of it is removed at the end, the keys after seven days.",
        "",
        *(f"  {point.register:<4} {point.name:<24} {point.question}" for point in options.points),
        "",
    ]
    return "\n".join(lines)


def check(clients: Clients, run: Run, options: Options, boundary: str, stopped: threading.Event) -> int:
    """Creates the stack, asks the points, removes everything, and writes the results. Returns the exit status.

    Raises RefusedError if the stack cannot be created.
    """
    started, findings, failed = _now(), list[Finding](), ""
    try:
        stage = set_up(clients, run, options, boundary, stopped)
        findings = ask_all(stage, options.points, stopped, lambda finding: say(_line(finding)), options.hurry)
    except StoppedError:
        pass  # everything is removed below
    except (RefusedError, ClientError, BotoCoreError) as error:
        failed = str(error)
    finally:
        left = tear_down(clients, run)
    if failed:
        raise RefusedError(failed)
    data, report = reports.write(reports.Result(run, started, _now(), findings, left), options.folder)
    settled = sum(finding.answer is not None for finding in findings)
    say(f"{settled} of {len(options.points)} points are settled: {report}, {data}")
    if stopped.is_set():
        return INTERRUPTED
    return LEFT if left else REMOVED


def set_up(clients: Clients, run: Run, options: Options, boundary: str, stopped: threading.Event) -> Stage:
    """Creates the stack and returns what the points work with. Raises RefusedError, ClientError or StoppedError."""
    patience = Patience(stopped, _STACK_SECONDS, options.hurry)
    say(f"creating the stack {run.prefix}")
    stack.create(clients, run, boundary)
    outputs = stack.outputs(clients, run, patience.wait)
    stack.let_mediatailor_read(clients, outputs, run.account)
    say(f"asking {len(options.points)} points")
    # An AWS host: it serves no manifest, and no token of the check leaves AWS.
    origin = options.origin or f"https://sts.{run.region}.amazonaws.com"
    return Stage(run, clients, outputs, origin.rstrip("/"))


def tear_down(clients: Clients, run: Run | None = None) -> list[str]:
    """Removes what one run, or all runs created. Returns what is left, each with the reason."""
    say("removing what the check created")
    found = leftovers.find(clients, run.prefix if run else "")
    unlisted = [f"each {kind}: the list could not be read ({reason})" for kind, reason in found.unlisted.items()]
    left = unlisted + leftovers.remove(clients, found.resources, say)
    for item in left:
        print(f"left: {item}", file=sys.stderr)
    return left


def clean(session: boto3.Session, confirm: Callable[[], bool]) -> int:
    """Removes what earlier runs left. Returns the exit status. Raises RefusedError."""
    clients = Clients(session)
    run = identify(clients, session)
    found = leftovers.find(clients)
    print(f"Account   {run.account}\nRegion    {run.region}\nIdentity  {run.caller_arn}\n")
    for resource in found.resources:
        print(f"  {resource}{'' if resource.run else ' lacks the tag of the check and stays'}")
    if not any(resource.run for resource in found.resources) and not found.unlisted:
        print("Nothing is left to remove.")
        return REMOVED
    if not confirm():
        print("Nothing was removed.")
        return REMOVED
    return LEFT if tear_down(clients) else REMOVED


def _line(finding: Finding) -> str:
    if finding.answer is None:
        return f"{finding.point}: not settled. {finding.reason}"
    return f"{finding.point}: {reports.shown(finding.answer.value)}. {finding.answer.seen}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
