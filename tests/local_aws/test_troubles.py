"""What a developer reads when something is missing: what is wrong, and what to do."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local_aws import containers
from local_aws.embedded import REPOSITORY
from tests.contract.artefacts import copy


def complaint(*command: str, status: int = 1, **environment: str) -> list[str]:
    done = subprocess.run(
        command, check=False, cwd=REPOSITORY, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == status
    return done.stderr.splitlines()


def test_an_engine_that_does_not_answer(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "local_aws.containers", "true")
    wrong, remedy = complaint(*command, status=os.EX_UNAVAILABLE, DOCKER_HOST=f"unix://{tmp_path}/absent")

    assert wrong == "No Docker engine runs, and none can be started: the one that DOCKER_HOST names does not answer."
    assert remedy == "Start one, and try again."


def test_make_local_says_that_sam_lacks_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent")

    assert str(containers.lacking()).splitlines() == [
        "sam local needs a Docker engine, and none runs.",
        "Start one, or put `python -m local_aws.containers` before the line.",
    ]


def test_a_busy_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wrong, remedy = complaint(sys.executable, "-m", "local_aws", "--port", str(port))

    assert wrong == f"Port {port} on 127.0.0.1 cannot be used: Address already in use."
    assert remedy == f"Stop what listens there, or choose another port: make local PORT={port + 1}"


@pytest.mark.parametrize("command", [("invoke", "CreateKeyFunction"), ("start-lambda",)])
def test_sam_beside_no_embedded_aws(tmp_path: Path, command: tuple[str, ...]) -> None:
    copy(tmp_path, "samconfig.toml", "template.yaml")
    sam = str(Path(sys.executable).parent / "sam")
    line = [sam, "local", *command, "--config-env", "local"]
    done = subprocess.run(line, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert "Path '.aws-sam/written-by-make-local/environment.json' does not exist." in done.stderr
