"""docs/develop.md shows each command of SAM CLI that developers need; its builds and its endpoint behave as it says."""

import os
import re
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


SOURCES = ("template.yaml", "observability.yaml", "layers/latchkey/build_layer.py", "layers/latchkey/requirements.txt")


@pytest.mark.parametrize("name", SOURCES)
def test_make_builds_again_when_a_source_has_changed(tmp_path: Path, name: str) -> None:
    copy(tmp_path, "Makefile", "requirements-dev.txt", "samconfig.toml", *SOURCES[:2], "functions", "layers", "statemachine")
    for marker in (".venv/ready", ".aws-sam/build/template.yaml"):
        (tmp_path / marker).parent.mkdir(parents=True)
        (tmp_path / marker).touch()
    assert is_built(tmp_path)

    newer = (tmp_path / ".aws-sam/build/template.yaml").stat().st_mtime + 1
    os.utime(tmp_path / name, (newer, newer))

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
