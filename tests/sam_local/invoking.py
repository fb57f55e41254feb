"""Invocation of functions in containers: with `sam local invoke`, and with boto3 and `sam local start-lambda`."""

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

from local_aws.tools.embedded_aws import REPOSITORY, session, until
from tests.contract.artifacts import logical_id
from tests.contract.documented_commands import words

FOLDER = REPOSITORY / "events/functions"
WITHOUT_CREDENTIALS = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
_PATIENCE = Config(read_timeout=300, retries={"total_max_attempts": 1})
_ATTEMPTS = 3
_GIVEN: set[int] = set()
type Answer = dict[str, Any]


def function(event: str) -> str:
    """Returns the logical id of the function that an event in events/functions is for."""
    return logical_id(event.removesuffix(".refused"))


def free_port() -> int:
    """Returns a free port that no earlier call returned."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port


@dataclass(frozen=True)
class Typed:
    """The output of `sam local invoke` for one event."""

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
    """Runs the documented command for an event."""
    line = words(f"sam local invoke {function(event)} -e events/functions/{event}.json")
    done = subprocess.run(
        line, check=False, cwd=REPOSITORY, env=WITHOUT_CREDENTIALS, capture_output=True, text=True, timeout=300
    )
    return Typed(done.returncode, done.stdout.strip(), done.stderr)


class Server:
    """`sam local start-lambda` on its own port. Its containers live as long as the server."""

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
        """Starts the shutdown of the server and its containers."""
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
        """Returns the response to a sample event.

        SAM CLI answers with nothing if a function timed out. On a busy machine, the start of a container can take that long.
        """
        sample = (FOLDER / f"{event}.json").read_bytes()
        for _ in range(_ATTEMPTS):
            if payload := self._client.invoke(FunctionName=function(event), Payload=sample)["Payload"].read():
                answer: Answer = json.loads(payload)
                return answer
        raise AssertionError(f"{event} has no response after {_ATTEMPTS} attempts:\n{self.log()}")

    def log(self) -> str:
        """Returns the output of the server and its containers."""
        return self._log.read_text()
