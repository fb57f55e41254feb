"""docs/develop.md shows each command of SAM CLI that developers need; its builds and its endpoint behave as it says."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.contract.artefacts import TEMPLATE, copy
from tests.contract.lines import LINES

COMMANDS = ["sam local invoke", "sam local start-lambda", "sam logs", "sam remote invoke", "sam sync"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_shows_how_to_use_each_command(command: str) -> None:
    assert [line for line in LINES if line.startswith(command)]


def is_built(folder: Path) -> bool:
    return subprocess.run(["make", "-q", ".aws-sam/build/template.yaml"], check=False, cwd=folder).returncode == 0


def test_a_build_for_another_environment_is_replaced(tmp_path: Path) -> None:
    """`sam sync` and `make deploy` build into the same folder, for another architecture."""
    copy(tmp_path, "Makefile", "requirements-dev.txt", "template.yaml", "samconfig.toml", "local_aws/lightening.py")
    build = tmp_path / ".aws-sam/build"
    for folder in (tmp_path / ".venv", *(tmp_path / name for name in ("functions", "layers", "statemachine")), build):
        folder.mkdir(parents=True)
    (tmp_path / ".venv/ready").touch()
    for seconds, name in enumerate(("built-by-make", "template.yaml"), 1):
        (build / name).touch()
        newest = (tmp_path / ".venv/ready").stat().st_mtime + seconds
        os.utime(build / name, (newest, newest))
    assert is_built(tmp_path)

    shutil.rmtree(build)
    build.mkdir()
    (build / "template.yaml").touch()

    assert not is_built(tmp_path)


@pytest.mark.parametrize("url", ["", "http://host.docker.internal:4566", "http://localhost:4566"])
def test_functions_can_use_an_endpoint_on_this_machine(url: str) -> None:
    assert re.fullmatch(TEMPLATE["Parameters"]["EndpointUrl"]["AllowedPattern"], url)


@pytest.mark.parametrize(
    "url",
    ["https://collector.example.com", "http://host.docker.internal.example.com", "http://localhost:1@example.com", "http://a"],
)
def test_functions_cannot_use_any_other_endpoint(url: str) -> None:
    assert not re.fullmatch(TEMPLATE["Parameters"]["EndpointUrl"]["AllowedPattern"], url)
