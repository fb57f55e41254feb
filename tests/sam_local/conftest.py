"""Every event and every refusal in its function's container, once, beside a fresh `make local`."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from local_aws.developing import WRITTEN
from local_aws.embedded import Embedded, until
from local_aws.outcomes import Outcomes
from tests.contract.artefacts import FOLDERS
from tests.sam_local.debugging import HANDLER, Stopped, stop_at
from tests.sam_local.invoking import Answer, Server, Typed, type_line

TYPED = ("create_key", "create_key.refused")
# They refuse what they are given without asking AWS, and so can before containers reach it.
_REFUSE_UNASKED = (
    "clean_up_grants", "configure_access", "create_secret", "record_access", "report_clean_up", "report_outcome",
    "sweep_grants",
)  # fmt: skip
SERVED = [*_REFUSE_UNASKED, *(name for name in FOLDERS if name not in (*TYPED, *_REFUSE_UNASKED))]
# These would treat what other events are about.
_LAST = ("report_clean_up", "sweep_grants")
[BREAKPOINT] = [number for number, line in enumerate(HANDLER.read_text().splitlines(), 1) if line.startswith("    return ")]
# Before each of its containers a server builds the layer's image, or waits for one that builds it already.
_SERVERS = 5
type Events = dict[str, list[str]]


@dataclass(frozen=True)
class Running:
    """The embedded AWS, servers, and what they have refused while its samples were made."""

    aws: Embedded
    servers: list[Server]
    refused: dict[str, Answer]


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The servers begin when sam is told of the embedded AWS, whose samples are still made then."""
    folder = tmp_path_factory.mktemp("sam")
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        servers = [stack.enter_context(Server(folder / f"{number}.log")) for number in range(_SERVERS)]
        refused = pool.submit(_refuse_when_told, servers, int(time.time()))
        aws = stack.enter_context(Embedded(deploy=True, develop=True))
        yield Running(aws, servers, refused.result())
        for server in servers:
            server.terminate()


@pytest.fixture(scope="session")
def aws(running: Running) -> Embedded:
    return running.aws


@pytest.fixture(scope="session")
def outcomes(aws: Embedded) -> Outcomes:
    return Outcomes(aws)


@pytest.fixture(scope="session")
def servers(running: Running) -> list[Server]:
    return running.servers


@dataclass(frozen=True)
class Invoked:
    """What the servers' functions answered, what was typed, and where a debugger stopped."""

    served: dict[str, Answer]
    typed: dict[str, Typed]
    stopped: Stopped


@pytest.fixture(scope="session")
def invoked(running: Running, outcomes: Outcomes) -> Invoked:
    """Of a function's two events the second finds it warm; `outcomes` hears from before the first what they bring.

    The deployed stack hears of no change that they make, and so changes only what they let it.
    """
    running.aws.control("PUT", "assumptions", {"trail": {"lose": 1}})
    others = {name: [name] if name in _REFUSE_UNASKED else [name, f"{name}.refused"] for name in SERVED}
    last = {name: others.pop(name) for name in _LAST}
    with ThreadPoolExecutor(len(TYPED) + 1) as pool:
        typed, stopped = pool.map(type_line, TYPED), pool.submit(stop_at, BREAKPOINT, "event")
        answers = running.refused | _invoke_all(running.servers, others)
        answers |= _invoke_all(running.servers, last)
        return Invoked(answers, dict(zip(TYPED, typed, strict=True)), stopped.result())


@pytest.fixture(scope="session")
def stopped(invoked: Invoked) -> Stopped:
    """Where a debugger stopped."""
    return invoked.stopped


@pytest.fixture(scope="session")
def typed(invoked: Invoked) -> dict[str, Typed]:
    """By event, what sam printed for the line that a developer types."""
    return invoked.typed


@pytest.fixture(scope="session")
def answers(invoked: Invoked) -> dict[str, Answer]:
    """By event, what its function answered."""
    return invoked.served | {event: line.answer for event, line in invoked.typed.items()}


def server_of(name: str, servers: list[Server]) -> Server:
    """The server that has the container of a function."""
    return servers[SERVED.index(name) % len(servers)]


def _refuse_when_told(servers: list[Server], since: int) -> dict[str, Answer]:
    told = WRITTEN / "environment.json"
    until(lambda: told.exists() and told.stat().st_mtime >= since, "what sam is told", 120)
    for server in servers:
        server.start()
    return _invoke_all(servers, {name: [f"{name}.refused"] for name in _REFUSE_UNASKED})


def _invoke_all(servers: list[Server], events: Events) -> dict[str, Answer]:
    """Every server has the events of its functions, one after another."""

    def invoke(server: Server) -> dict[str, Answer]:
        return {event: server.invoke(event) for name in events if server_of(name, servers) is server for event in events[name]}

    with ThreadPoolExecutor(len(servers)) as pool:
        return {event: answer for answers in pool.map(invoke, servers) for event, answer in answers.items()}
