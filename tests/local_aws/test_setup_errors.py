"""Error messages for developers have two lines: what is wrong, and how to fix it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local_aws.tools import containers
from local_aws.tools.embedded_aws import REPOSITORY
from tests.contract.artifacts import copy


def error_output(*command: str, status: int = 1, **environment: str) -> list[str]:
    done = subprocess.run(
        command, check=False, cwd=REPOSITORY, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == status
    return done.stderr.splitlines()


def test_engine_at_docker_host_does_not_respond(tmp_path: Path) -> None:
    command, host = (sys.executable, "-m", "local_aws.containers", "true"), f"unix://{tmp_path}/absent"
    problem, remedy = error_output(*command, status=os.EX_UNAVAILABLE, DOCKER_HOST=host)

    assert problem == f"The Docker engine at DOCKER_HOST={host} does not respond."
    assert remedy == "Start it, or unset DOCKER_HOST."


def test_make_local_reports_that_sam_local_needs_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent")

    assert str(containers.missing_for_sam_local()).splitlines() == [
        "sam local needs a Docker engine, and none is running.",
        "Start Docker, or run `python -m local_aws.containers COMMAND` with the sam command.",
    ]


def test_port_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        problem, remedy = error_output(sys.executable, "-m", "local_aws", "--port", str(port))

    assert problem == f"Cannot listen on port {port} of 127.0.0.1: Address already in use."
    assert remedy == f"Stop the process that uses the port, or choose another one: make local PORT={port + 1}"


@pytest.mark.parametrize("command", [("invoke", "CreateKeyFunction"), ("start-lambda",)])
def test_sam_local_without_make_local(tmp_path: Path, command: tuple[str, ...]) -> None:
    copy(tmp_path, "samconfig.toml", "template.yaml")
    sam = str(Path(sys.executable).parent / "sam")
    line = [sam, "local", *command, "--config-env", "local"]
    done = subprocess.run(line, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert "Path '.aws-sam/written-by-make-local/environment.json' does not exist." in done.stderr
