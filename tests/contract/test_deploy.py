"""`make deploy`: only an environment that is there and meant for AWS is built and deployed."""

import subprocess
from pathlib import Path

import pytest

from tests.contract.artefacts import copy


def deploy(folder: Path, environment: str) -> "subprocess.CompletedProcess[str]":
    """What `make deploy` does where sam only says what it was to do."""
    copy(folder, "Makefile", "samconfig.toml", "requirements-dev.txt", "template.yaml")
    for name in ("functions", "layers", "statemachine", ".venv/bin"):
        (folder / name).mkdir(parents=True)
    (folder / ".venv/ready").touch()
    (folder / ".venv/bin/sam").write_text('#!/bin/sh\necho "called: sam $*"\n')
    (folder / ".venv/bin/sam").chmod(0o755)
    command = ["make", "--no-print-directory", "deploy", f"ENV={environment}"]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_an_environment_is_built_and_deployed(tmp_path: Path, environment: str) -> None:
    done = deploy(tmp_path, environment)

    called = [line for line in done.stdout.splitlines() if line.startswith("called: ")]
    assert done.returncode == 0
    assert called == [f"called: sam {command} --config-env {environment}" for command in ("build", "deploy")]


# That of the embedded AWS trusts every role of the account, and uploads to a bucket that is somebody's in AWS.
@pytest.mark.parametrize("environment", ["local", "porduction", "de"])
def test_no_other_environment_is(tmp_path: Path, environment: str) -> None:
    done = deploy(tmp_path, environment)

    assert done.returncode != 0
    assert "called: " not in done.stdout
    assert f"ENV={environment} is no environment of samconfig.toml that is deployed to AWS" in done.stderr
