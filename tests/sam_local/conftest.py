"""Every event and every refusal in its function's container, once, beside a fresh `make local`."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain

import pytest

from local_aws.developing import WRITTEN
from local_aws.embedded import Embedded, until
from local_aws.outcomes import Outcomes
from tests.contract.artefacts import FOLDERS
from tests.sam_local.debugging import HANDLER, Stopped, stop_at
from tests.sam_local.invoking import Answer, Server, Typed, type_line

TYPED = ("create_key", "create_key.refused")
SERVED = [name for name in FOLDERS if name not in TYPED]
# These would treat what other events are about.
_LAST = ("report_clean_up", "sweep_grants")
[BREAKPOINT] = [number for number, line in enumerate(HANDLER.read_text().splitlines(), 1) if line.startswith("    return ")]
# Before each of its containers a server builds the layer's image, or waits for one that builds it already.
_SERVERS = 6


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Embedded, list[Server]]]:
    """The embedded AWS, and servers that begin when sam is told of it, while its samples are still made."""
    folder = tmp_path_factory.mktemp("sam")
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        servers = [stack.enter_context(Server(folder / f"{number}.log")) for number in range(_SERVERS)]
        starting = pool.submit(_start_when_told, servers, int(time.time()))
        aws = stack.enter_context(Embedded(deploy=True, develop=True))
        starting.result()
        yield aws, servers
        for server in servers:
            server.terminate()


@pytest.fixture(scope="session")
def aws(running: tuple[Embedded, list[Server]]) -> Embedded:
    return running[0]


@pytest.fixture(scope="session")
def outcomes(aws: Embedded) -> Outcomes:
    return Outcomes(aws)


@pytest.fixture(scope="session")
def servers(running: tuple[Embedded, list[Server]]) -> list[Server]:
    return running[1]


@dataclass(frozen=True)
class Invoked:
    """What the servers' functions answered, what was typed, and where a debugger stopped."""

    served: dict[str, Answer]
    typed: dict[str, Typed]
    stopped: Stopped


@pytest.fixture(scope="session")
def invoked(outcomes: Outcomes, servers: list[Server]) -> Invoked:
    """Of a function's two events the second finds it warm."""
    first = [[f"{name}.refused"] if name in _LAST else [name, f"{name}.refused"] for name in SERVED]
    last = [[name] if name in _LAST else [] for name in SERVED]
    with ThreadPoolExecutor(len(TYPED) + 1 + _SERVERS) as pool:
        typed, stopped = pool.map(type_line, TYPED), pool.submit(stop_at, BREAKPOINT, "event")
        answers = _invoke_all(pool, servers, first) | _invoke_all(pool, servers, last)
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


def _start_when_told(servers: list[Server], since: int) -> None:
    told = WRITTEN / "environment.json"
    until(lambda: told.exists() and told.stat().st_mtime >= since, "what sam is told", 120)
    for server in servers:
        server.start()


def server_of(name: str, servers: list[Server]) -> Server:
    """The server that has the container of a function."""
    return servers[SERVED.index(name) % len(servers)]


def _invoke_all(pool: ThreadPoolExecutor, servers: list[Server], events: list[list[str]]) -> dict[str, Answer]:
    """Every server has the events of its functions, one after another."""
    shares = [list(chain(*events[number :: len(servers)])) for number in range(len(servers))]
    answered = pool.map(lambda server, share: {event: server.invoke(event) for event in share}, servers, shares)
    return {event: answer for told in answered for event, answer in told.items()}
