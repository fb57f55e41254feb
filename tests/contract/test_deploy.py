"""`make deploy` builds and deploys only the environments of samconfig.toml that are meant for an AWS account."""

import subprocess
from pathlib import Path

import pytest

from tests.contract.artifacts import copy


def deploy(folder: Path, environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs `make deploy` in a copy of the project with a `sam` that only prints its arguments."""
    copy(folder, "Makefile", "samconfig.toml", "requirements-dev.txt", "template.yaml")
    for name in ("functions", "layers", "statemachine", ".venv/bin"):
        (folder / name).mkdir(parents=True)
    (folder / ".venv/ready").touch()
    (folder / ".venv/bin/sam").write_text('#!/bin/sh\necho "called: sam $*"\n')
    (folder / ".venv/bin/sam").chmod(0o755)
    command = ["make", "--no-print-directory", "deploy", f"ENV={environment}"]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_make_deploy_builds_and_deploys_an_environment(tmp_path: Path, environment: str) -> None:
    result = deploy(tmp_path, environment)

    calls = [line for line in result.stdout.splitlines() if line.startswith("called: ")]
    assert result.returncode == 0
    assert calls == [f"called: sam {command} --config-env {environment}" for command in ("build", "deploy")]


# `local` is rejected since it trusts every role of the account, and since its bucket can belong to someone else in AWS.
@pytest.mark.parametrize("environment", ["local", "porduction", "de"])
def test_make_deploy_rejects_any_other_environment(tmp_path: Path, environment: str) -> None:
    result = deploy(tmp_path, environment)

    assert result.returncode != 0
    assert "called: " not in result.stdout
    assert f"ENV={environment} " in result.stderr
