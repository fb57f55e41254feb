"""The index of the decisions lists every record with its title and its status."""

import re
from pathlib import Path

from tests.contract.artifacts import ROOT
from tests.contract.documents import Document

FOLDER = ROOT / "docs/decisions"
RECORDS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")


def row(path: Path) -> list[str]:
    """The row of a record in the index: its number, its title as a link, and its status without the date."""
    text = path.read_text()
    [status] = re.findall(r"^Status: (accepted|superseded by \[\d{4}\]\([^)]+\))", text, re.MULTILINE)
    return [path.name[:4], f"[{text.splitlines()[0].removeprefix('# ')}]({path.name})", status]


def test_the_index_lists_every_record_with_its_title_and_status() -> None:
    [[_, *rows]] = Document(FOLDER / "README.md").tables

    assert rows == [row(path) for path in RECORDS]


def test_the_numbers_are_consecutive() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))
