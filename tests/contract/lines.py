"""The commands of SAM CLI and the AWS CLI in docs/develop.md."""

import shlex

from tests.contract.artefacts import ROOT

_TEXT = (ROOT / "docs/develop.md").read_text()
LINES = [line for block in _TEXT.split("```")[1::2] for line in block.splitlines() if line.startswith(("sam ", "aws "))]


def words(start: str) -> list[str]:
    """The words of the one line that begins with `start`."""
    [line] = [line for line in LINES if line.startswith(start)]
    return shlex.split(line)
