"""Every event and every refusal in its function's container, once, beside a fresh `make local`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from local_aws.embedded import Embedded
from local_aws.outcomes import Outcomes
from tests.contract.artefacts import FOLDERS
from tests.sam_local.invoking import Answer, Server, Typed, type_line

TYPED = ("create_key", "create_key.refused")
SERVED = [name for name in FOLDERS if name not in TYPED]
# These would treat what other events are about.
_LAST = ("report_clean_up", "sweep_grants")
# Each builds the layer's image before each of its containers, one after another.
_SERVERS = 4


@pytest.fixture(scope="session")
def aws() -> Iterator[Embedded]:
    with Embedded(deploy=True, develop=True) as running:
        yield running


@pytest.fixture(scope="session")
def outcomes(aws: Embedded) -> Outcomes:
    return Outcomes(aws)


@pytest.fixture(scope="session")
def servers(aws: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    folder = tmp_path_factory.mktemp("sam")
    with ExitStack() as stack:
        yield [stack.enter_context(Server(folder / f"{number}.log")) for number in range(_SERVERS)]


@pytest.fixture(scope="session")
def invoked(outcomes: Outcomes, servers: list[Server]) -> tuple[dict[str, Answer], dict[str, Typed]]:
    """What the servers' functions answered, and what was typed. Of a function's two events the second finds it warm."""
    first = [f"{name}.refused" if name in _LAST else name for name in SERVED]
    second = [name if name in _LAST else f"{name}.refused" for name in SERVED]
    with ThreadPoolExecutor(len(TYPED) + _SERVERS) as pool:
        typed = pool.map(type_line, TYPED)
        answers = _invoke_all(pool, servers, first) | _invoke_all(pool, servers, second)
        return answers, dict(zip(TYPED, typed, strict=True))


@pytest.fixture(scope="session")
def typed(invoked: tuple[dict[str, Answer], dict[str, Typed]]) -> dict[str, Typed]:
    """By event, what sam printed for the line that a developer types."""
    return invoked[1]


@pytest.fixture(scope="session")
def answers(invoked: tuple[dict[str, Answer], dict[str, Typed]]) -> dict[str, Answer]:
    """By event, what its function answered."""
    served, lines = invoked
    return served | {event: line.answer for event, line in lines.items()}


def _invoke_all(pool: ThreadPoolExecutor, servers: list[Server], events: list[str]) -> dict[str, Answer]:
    """Every server has its share of the events, one after another."""
    shares = [events[number :: len(servers)] for number in range(len(servers))]
    answered = pool.map(lambda server, share: [server.invoke(event) for event in share], servers, shares)
    return {
        event: answer for share, told in zip(shares, answered, strict=True) for event, answer in zip(share, told, strict=True)
    }
