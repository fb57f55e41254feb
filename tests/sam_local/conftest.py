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
from tests.contract.artefacts import FOLDERS, logical_id

FOLDER = REPOSITORY / "events/functions"
# These would treat what other events are about.
LAST = ("report_clean_up", "sweep_grants")
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
    """All at once: sam builds the image once for those that wait for it."""
    with ThreadPoolExecutor(len(events)) as pool:
        return dict(zip(events, pool.map(invoke, events), strict=True))


@pytest.fixture(scope="session")
def aws() -> Iterator[Embedded]:
    with Embedded(deploy=True, develop=True) as running:
        yield running


@pytest.fixture(scope="session")
def invoked(aws: Embedded) -> dict[str, Invocation]:
    """Every event in its function's container, once."""
    first = [name for name in FOLDERS if name not in LAST]
    done = invoke_all(first) | invoke_all(list(LAST))
    assert not (failed := {name: one.log[-2000:] for name, one in done.items() if one.status or "errorType" in one.answer}), (
        failed
    )
    return done


@pytest.fixture(scope="session")
def refused(invoked: dict[str, Invocation]) -> dict[str, Invocation]:
    """Every refusal in its function's container, once, after what the samples do."""
    return {name.removesuffix(".refused"): one for name, one in invoke_all([f"{name}.refused" for name in FOLDERS]).items()}
