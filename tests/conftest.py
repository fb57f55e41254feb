"""What all tests share: files that must agree with the code are compared, or written with --update."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write golden documents and schemas instead of comparing them")


@pytest.fixture
def agrees(request: pytest.FixtureRequest) -> Callable[[Path, Any], None]:
    """Asserts that a JSON file holds exactly a document; with --update it is written first."""

    def compare(path: Path, document: Any) -> None:
        if request.config.getoption("--update"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document, indent=2) + "\n")
        assert path.is_file(), f"{path.relative_to(ROOT)} is missing: make update writes it"
        assert json.loads(path.read_text()) == document, f"{path.relative_to(ROOT)} differs from the code: make update"

    return compare


@pytest.fixture
def agrees_as_text(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Asserts that a file contains exactly a text. With --update, writes the file first."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update"):
            path.write_text(text)
        assert path.is_file(), f"{path.relative_to(ROOT)} is missing: make update writes it"
        assert path.read_text() == text, f"{path.relative_to(ROOT)} differs from the code: make update"

    return compare


@pytest.fixture
def agrees_in(request: pytest.FixtureRequest) -> Callable[[Path, str, str], None]:
    """Asserts that a Markdown file holds exactly a text between two comments; with --update it is written first."""

    def compare(path: Path, name: str, text: str) -> None:
        begin, end = f"<!-- {name}: written by make update -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = path.read_text().partition(begin)
        present, _, after = rest.partition(end)
        if request.config.getoption("--update"):
            path.write_text(before + begin + text + end + after)
            present = text
        assert present == text, f"{name} in {path.relative_to(ROOT)} differs from what the roles can do: make update"

    return compare
