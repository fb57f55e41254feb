"""The lines that docs/develop.md tells a developer to type."""

import shlex

from tests.contract.artefacts import ROOT

_TEXT = (ROOT / "docs/develop.md").read_text()
LINES = [line for block in _TEXT.split("```")[1::2] for line in block.splitlines() if line.startswith(("sam ", "aws "))]


def words(start: str) -> list[str]:
    """The one line that begins so, as a shell takes it apart."""
    [line] = [line for line in LINES if line.startswith(start)]
    return shlex.split(line)
