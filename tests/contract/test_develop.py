"""docs/develop.md: the lines it tells exist as they stand there."""

import importlib
import re
import shlex

import click
import pytest

from tests.contract.artefacts import FOLDERS, ROOT, logical_id
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
