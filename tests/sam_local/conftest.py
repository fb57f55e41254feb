"""Containers: `make local` beside them, and `sam local invoke` exactly as a developer types it."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest

from local_aws.embedded import REPOSITORY, Embedded
from local_aws.outcomes import Outcomes
from tests.contract.artefacts import FOLDERS, logical_id

FOLDER = REPOSITORY / "events/functions"
# These would treat what other events are about.
LAST = ("report_clean_up", "sweep_grants")
_AT_A_TIME = 6
WITHOUT_CREDENTIALS = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


@dataclass(frozen=True)
class Invocation:
    """What sam printed for one event."""

    status: int
    out: str
    log: str

    @cached_property
    def answer(self) -> dict[str, Any]:
        assert self.out, self.log
        answer: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return answer

    @property
    def error(self) -> tuple[str, str]:
        return self.answer["errorType"], self.answer["errorMessage"]

    @property
    def container(self) -> str:
        [found] = re.findall(r"SAM_CONTAINER_ID: ([0-9a-f]{64})", self.log)
        return str(found)


def invoke(event: str, *options: str) -> Invocation:
    """Types the line of the documents; `event` is the name of a file in events/functions."""
    line = ["sam", "local", "invoke", logical_id(event.split(".", maxsplit=1)[0]), "-e", f"events/functions/{event}.json"]
    command = [*line, "--config-env", "local", *options]
    done = subprocess.run(
        command, check=False, cwd=REPOSITORY, env=WITHOUT_CREDENTIALS, capture_output=True, text=True, timeout=600
    )
    return Invocation(done.returncode, done.stdout.strip(), done.stderr)


def invoke_all(events: list[str]) -> dict[str, Invocation]:
    """Some at a time: sam builds the image once for those that wait for it, and few wait for the processor."""
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        return dict(zip(events, pool.map(invoke, events), strict=True))


@pytest.fixture(scope="session")
def aws() -> Iterator[Embedded]:
    with Embedded(deploy=True, develop=True) as running:
        yield running


@pytest.fixture(scope="session")
def outcomes(aws: Embedded) -> Outcomes:
    return Outcomes(aws)


@pytest.fixture(scope="session")
def answered(aws: Embedded, outcomes: Outcomes) -> dict[str, Invocation]:
    """Every event and every refusal in its function's container, once, heard from the beginning."""
    first = [name for name in FOLDERS if name not in LAST]
    return invoke_all(first) | invoke_all([*LAST, *(f"{name}.refused" for name in FOLDERS)])


@pytest.fixture(scope="session")
def invoked(answered: dict[str, Invocation]) -> dict[str, Invocation]:
    """By function, what its event gave."""
    return {name: answered[name] for name in FOLDERS}


@pytest.fixture(scope="session")
def refused(answered: dict[str, Invocation]) -> dict[str, Invocation]:
    """By function, what its refusal gave."""
    return {name: answered[f"{name}.refused"] for name in FOLDERS}
