"""Invokes every function once with each of its sample events, in containers, next to a fresh `make local`."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from local_aws.tools.embedded_aws import Embedded, until
from local_aws.tools.outcomes import Outcomes
from local_aws.tools.sam_local import SAM_FILES
from tests.contract.artifacts import FOLDERS
from tests.sam_local.debugging import HANDLER, Stopped, stop_at
from tests.sam_local.invoking import Answer, Server, Typed, type_line

TYPED = ("create_key", "create_key.refused")
# These functions reject their .refused event without an AWS call, so they can run before containers reach the emulator.
_REJECT_OFFLINE = (
    "clean_up_grants", "configure_access", "create_secret", "guard_prefixes", "record_access", "report_clean_up",
    "report_outcome", "sweep_grants",
)  # fmt: skip
SERVED = [*_REJECT_OFFLINE, *(name for name in FOLDERS if name not in (*TYPED, *_REJECT_OFFLINE))]
# Containers cannot reach the URL at which the embedded AWS waits for the answer for a custom resource.
EFFECTIVE = [name for name in FOLDERS if name != "guard_prefixes"]
# These functions would change what other events refer to.
_LAST = ("report_clean_up", "sweep_grants")
[BREAKPOINT] = [number for number, line in enumerate(HANDLER.read_text().splitlines(), 1) if line.startswith("    return ")]
# For each container, a server builds the image with the layer, or waits for another server that builds it.
_SERVERS = 5
type Events = dict[str, list[str]]


@dataclass(frozen=True)
class Running:
    """The embedded AWS, the servers, and the rejections that they returned while the sample data was created."""

    aws: Embedded
    servers: list[Server]
    rejections: dict[str, Answer]


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The servers start when the files for sam exist. The sample data is still being created then."""
    folder = tmp_path_factory.mktemp("sam")
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        servers = [stack.enter_context(Server(folder / f"{number}.log")) for number in range(_SERVERS)]
        rejections = pool.submit(_invoke_early, servers, int(time.time()))
        aws = stack.enter_context(Embedded(deploy=True, develop=True))
        yield Running(aws, servers, rejections.result())
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
    """The responses of the servers, the output of `sam local invoke`, and where a debugger stopped."""

    served: dict[str, Answer]
    typed: dict[str, Typed]
    stopped: Stopped


@pytest.fixture(scope="session")
def invoked(running: Running, outcomes: Outcomes) -> Invoked:
    """The second event of a function finds a warm container. `outcomes` is created before the first event.

    Trail events are lost, so the deployed stack does not react to the changes that the functions make.
    """
    running.aws.control("PUT", "assumptions", {"trail": {"lose": 1}})
    others = {name: [name] if name in _REJECT_OFFLINE else [name, f"{name}.refused"] for name in SERVED}
    others["guard_prefixes"] = ["guard_prefixes.refused"]
    last = {name: others.pop(name) for name in _LAST}
    # One after another: so many new containers at once can take longer than the timeout of a function.
    answers = running.rejections | _invoke_all(running.servers, others)
    answers |= _invoke_all(running.servers, last)
    with ThreadPoolExecutor(len(TYPED) + 1) as pool:
        typed, stopped = pool.map(type_line, TYPED), pool.submit(stop_at, BREAKPOINT, "event")
        return Invoked(answers, dict(zip(TYPED, typed, strict=True)), stopped.result())


@pytest.fixture(scope="session")
def stopped(invoked: Invoked) -> Stopped:
    """Where the debugger stopped."""
    return invoked.stopped


@pytest.fixture(scope="session")
def typed(invoked: Invoked) -> dict[str, Typed]:
    """The output of `sam local invoke` by event."""
    return invoked.typed


@pytest.fixture(scope="session")
def answers(invoked: Invoked) -> dict[str, Answer]:
    """The response of the function by event."""
    return invoked.served | {event: line.answer for event, line in invoked.typed.items()}


def server_of(name: str, servers: list[Server]) -> Server:
    """Returns the server that runs the container of a function."""
    return servers[SERVED.index(name) % len(servers)]


def _invoke_early(servers: list[Server], since: int) -> dict[str, Answer]:
    file = SAM_FILES / "environment.json"
    until(lambda: file.exists() and file.stat().st_mtime >= since, "the files for sam", 120)
    for server in servers:
        server.start()
    return _invoke_all(servers, {name: [f"{name}.refused"] for name in _REJECT_OFFLINE})


def _invoke_all(servers: list[Server], events: Events) -> dict[str, Answer]:
    """Each server invokes its functions one after another."""

    def invoke(server: Server) -> dict[str, Answer]:
        return {event: server.invoke(event) for name in events if server_of(name, servers) is server for event in events[name]}

    with ThreadPoolExecutor(len(servers)) as pool:
        return {event: answer for answers in pool.map(invoke, servers) for event, answer in answers.items()}
