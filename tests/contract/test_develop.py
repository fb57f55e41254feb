"""docs/develop.md shows the SAM CLI commands that developers need. `make` rebuilds what changed. Endpoints are restricted."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.contract.artifacts import TEMPLATE, copy
from tests.contract.documented_commands import COMMANDS


@pytest.mark.parametrize("command", ["sam local invoke", "sam local start-lambda", "sam logs", "sam remote invoke", "sam sync"])
def test_the_page_shows_an_example_of_each_command(command: str) -> None:
    assert [example for example in COMMANDS if example.startswith(command)]


def is_up_to_date(folder: Path) -> bool:
    """Whether `make` would not build the application again."""
    return subprocess.run(["make", "-q", ".aws-sam/build/template.yaml"], check=False, cwd=folder).returncode == 0


SOURCES = ("template.yaml", "observability.yaml", "layers/latchkey/build_layer.py", "layers/latchkey/requirements.txt")


@pytest.mark.parametrize("name", SOURCES)
def test_make_rebuilds_after_a_source_has_changed(tmp_path: Path, name: str) -> None:
    copy(tmp_path, "Makefile", "requirements-dev.txt", "samconfig.toml", *SOURCES[:2], "functions", "layers", "statemachine")
    for marker in (".venv/ready", ".aws-sam/build/template.yaml"):
        (tmp_path / marker).parent.mkdir(parents=True)
        (tmp_path / marker).touch()
    assert is_up_to_date(tmp_path)

    newer = (tmp_path / ".aws-sam/build/template.yaml").stat().st_mtime + 1
    os.utime(tmp_path / name, (newer, newer))

    assert not is_up_to_date(tmp_path)


@pytest.mark.parametrize("url", ["", "http://host.docker.internal:4566", "http://localhost:4566"])
def test_the_template_accepts_an_endpoint_on_the_developer_machine(url: str) -> None:
    assert re.fullmatch(TEMPLATE["Parameters"]["EndpointUrl"]["AllowedPattern"], url)


@pytest.mark.parametrize(
    "url",
    ["https://collector.example.com", "http://host.docker.internal.example.com", "http://localhost:1@example.com", "http://a"],
)
def test_the_template_rejects_any_other_endpoint(url: str) -> None:
    assert not re.fullmatch(TEMPLATE["Parameters"]["EndpointUrl"]["AllowedPattern"], url)
