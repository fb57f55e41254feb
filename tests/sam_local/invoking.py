"""Functions in containers: invoked as a developer types it, and through `sam local start-lambda` with boto3."""

import json
import os
import re
import socket
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from botocore.config import Config

from local_aws.embedded import REPOSITORY, session, until
from tests.contract.artefacts import logical_id
from tests.contract.documented_commands import words

FOLDER = REPOSITORY / "events/functions"
WITHOUT_CREDENTIALS = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
_PATIENCE = Config(read_timeout=300, retries={"total_max_attempts": 1})
_GIVEN: set[int] = set()
type Answer = dict[str, Any]


def function(event: str) -> str:
    """The function that an event of events/functions is for."""
    return logical_id(event.removesuffix(".refused"))


def free_port() -> int:
    """One that is free and was given to nobody else, who may not listen there yet."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port


@dataclass(frozen=True)
class Typed:
    """What sam printed for one event."""

    status: int
    out: str
    log: str

    @property
    def answer(self) -> Answer:
        assert self.out, self.log
        answer: Answer = json.loads(self.out.splitlines()[-1])
        return answer

    @property
    def container(self) -> str:
        [found] = re.findall(r"SAM_CONTAINER_ID: ([0-9a-f]{64})", self.log)
        return str(found)


def type_line(event: str) -> Typed:
    """Types the line of the documents for an event."""
    line = words(f"sam local invoke {function(event)} -e events/functions/{event}.json")
    done = subprocess.run(
        line, check=False, cwd=REPOSITORY, env=WITHOUT_CREDENTIALS, capture_output=True, text=True, timeout=300
    )
    return Typed(done.returncode, done.stdout.strip(), done.stderr)


class Server:
    """`sam local start-lambda` on a port of its own; its containers live as long as it."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def start(self) -> None:
        command = [*words("sam local start-lambda"), "--port", str(free_port())]
        with self._log.open("w") as file:
            self._process = subprocess.Popen(command, cwd=REPOSITORY, env=WITHOUT_CREDENTIALS, stdout=file, stderr=file)

    def __exit__(self, *_: object) -> None:
        self.terminate()
        if self._process:
            self._process.wait(60)

    def terminate(self) -> None:
        """Lets it end, and its containers with it."""
        if self._process:
            self._process.terminate()

    @cached_property
    def url(self) -> str:
        [url] = until(self._addresses, "sam local start-lambda", 120)
        return str(url)

    def _addresses(self) -> list[str]:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        return re.findall(r"Running on (\S+)", self.log())

    @cached_property
    def _client(self) -> Any:
        make: Any = session()
        return make.client("lambda", endpoint_url=self.url, config=_PATIENCE)

    def invoke(self, event: str) -> Answer:
        answered = self._client.invoke(FunctionName=function(event), Payload=(FOLDER / f"{event}.json").read_bytes())
        answer: Answer = json.load(answered["Payload"])
        return answer

    def log(self) -> str:
        """What it and its containers have printed."""
        return self._log.read_text()
