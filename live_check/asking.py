"""Asks the points in parallel, each with its own time limit, and turns every failure into a finding that says why."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from live_check import evidence
from live_check.answers import Answer, Finding, StoppedError, UnsettledError
from live_check.check import Check, Stage, code_of, status_of
from live_check.evidence import Evidence, masked
from live_check.patience import Patience
from live_check.points import Point

_AT_ONCE = 8


def ask_all(
    stage: Stage, points: Iterable[Point], stopped: threading.Event, report: Callable[[Finding], None], hurry: float = 1
) -> list[Finding]:
    """Returns the findings in the order of the points. `report` gets each as soon as it is known."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="point") as pool:
        asked = {pool.submit(ask, stage, point, stopped, hurry): point.name for point in points}
        found: dict[str, Finding] = {}
        for done in as_completed(asked):
            found[asked[done]] = done.result()
            report(found[asked[done]])
    return [found[name] for name in asked.values()]


def ask(stage: Stage, point: Point, stopped: threading.Event, hurry: float = 1) -> Finding:
    """Asks one point. Never raises: an error is a reason why the point is not settled."""
    start, calls = time.monotonic(), evidence.collect()
    patience = Patience(stopped, point.minutes * 60, hurry)
    answer, reason = None, ""
    try:
        patience.wait(0)
        _require_services(stage, point)
        answer = point.ask(Check(stage, point.name, patience))
    except StoppedError:
        reason = "The run was interrupted."
    except UnsettledError as error:
        reason = str(error)
    except ClientError as error:
        reason = _reason_of(error)
    except EndpointConnectionError:
        reason = f"The service is not available in {stage.run.region}."
    except BotoCoreError as error:
        reason = f"The AWS SDK raised {type(error).__name__}."
    except Exception as error:  # an answer that the point does not expect must not affect the others
        reason = f"An answer of AWS was not expected: {type(error).__name__} {error}."
    return _finding(point, answer, reason, time.monotonic() - start, calls, stage.run.account)


def _require_services(stage: Stage, point: Point) -> None:
    missing = [service for service in point.services if not stage.clients.has(service)]
    if missing:
        raise UnsettledError(f"{', '.join(missing)} is not available in {stage.run.region}.")


def _finding(point: Point, answer: Answer | None, reason: str, seconds: float, calls: Evidence, account: str) -> Finding:
    shown = Answer(answer.value, masked(answer.seen, account)) if answer else None
    return Finding(
        point.name, point.register, point.switch, point.question, point.source,
        shown, masked(reason, account), round(seconds, 1), calls,
    )  # fmt: skip


def _reason_of(error: ClientError) -> str:
    operation = error.operation_name
    if status_of(error) == 403 or "AccessDenied" in code_of(error):
        return f"A permission is missing: {operation} failed with {status_of(error)} {code_of(error)}."
    if status_of(error) == 501:
        return f"The account does not support {operation}: {code_of(error)}."
    return f"{operation} failed with {status_of(error)} {code_of(error)}: {error.response['Error'].get('Message', '')}"
