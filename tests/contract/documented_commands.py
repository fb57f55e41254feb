"""The commands of the SAM CLI and the AWS CLI in docs/develop.md."""

import shlex

from tests.contract.artifacts import ROOT

_TEXT = (ROOT / "docs/develop.md").read_text()
COMMANDS = [line for block in _TEXT.split("```")[1::2] for line in block.splitlines() if line.startswith(("sam ", "aws "))]


def words(start: str) -> list[str]:
    """The command that begins with `start`, split into words as a shell does. Fails unless there is exactly one."""
    [command] = [command for command in COMMANDS if command.startswith(start)]
    return shlex.split(command)
