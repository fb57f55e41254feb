"""docs/develop.md: the lines it tells exist as they stand there."""

import importlib
import os
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from tests.contract.artefacts import FOLDERS, ROOT, TEMPLATE, copy, logical_id
from tests.contract.lines import LINES

OF_SAM = [line for line in LINES if line.startswith("sam ")]
COMMANDS = {
    "sam local invoke": "samcli.commands.local.invoke.cli",
    "sam local start-lambda": "samcli.commands.local.start_lambda.cli",
    "sam logs": "samcli.commands.logs.command",
    "sam remote invoke": "samcli.commands.remote.invoke.cli",
    "sam sync": "samcli.commands.sync.command",
}


def command(line: str) -> click.Command:
    [module] = [module for name, module in COMMANDS.items() if line.startswith(name)]
    found: click.Command = importlib.import_module(module).cli
    return found


def test_every_command_is_told() -> None:
    assert {name for name in COMMANDS if any(line.startswith(name) for line in OF_SAM)} == set(COMMANDS)


@pytest.mark.parametrize("line", OF_SAM)
def test_the_options_of_a_line_are_those_of_sam(line: str) -> None:
    known = {option for parameter in command(line).params for option in parameter.opts}

    assert {word for word in shlex.split(line) if re.match(r"--?[a-z-]+$", word)} <= known


@pytest.mark.parametrize("line", LINES)
def test_what_a_line_names_exists(line: str) -> None:
    words = shlex.split(line)

    assert {word for word in words if word.endswith("Function")} <= {logical_id(folder) for folder in FOLDERS}
    assert all((ROOT / word.removeprefix("fileb://")).is_file() for word in words if "events/" in word)


def is_built(folder: Path) -> bool:
    return subprocess.run(["make", "-q", ".aws-sam/build/template.yaml"], check=False, cwd=folder).returncode == 0


@pytest.mark.parametrize("name", ["template.yaml", "layers/latchkey/build_layer.py", "layers/latchkey/requirements.txt"])
def test_make_builds_again_when_a_source_has_changed(tmp_path: Path, name: str) -> None:
    copy(tmp_path, "Makefile", "requirements-dev.txt", "template.yaml", "samconfig.toml", "functions", "layers", "statemachine")
    for marker in (".venv/ready", ".aws-sam/build/template.yaml"):
        (tmp_path / marker).parent.mkdir(parents=True)
        (tmp_path / marker).touch()
    assert is_built(tmp_path)

    newer = (tmp_path / ".aws-sam/build/template.yaml").stat().st_mtime + 1
    os.utime(tmp_path / name, (newer, newer))

    assert not is_built(tmp_path)


@pytest.mark.parametrize("url", ["", "http://host.docker.internal:4566", "http://localhost:4566"])
def test_functions_may_find_aws_on_this_machine(url: str) -> None:
    assert re.fullmatch(TEMPLATE["Parameters"]["EndpointUrl"]["AllowedPattern"], url)


@pytest.mark.parametrize(
    "url",
    ["https://collector.example.com", "http://host.docker.internal.example.com", "http://localhost:1@example.com", "http://a"],
)
def test_no_deployment_can_send_the_functions_calls_elsewhere(url: str) -> None:
    assert not re.fullmatch(TEMPLATE["Parameters"]["EndpointUrl"]["AllowedPattern"], url)
