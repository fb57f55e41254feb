"""Comparison of generated files, which --update rewrites, and the order and distribution of tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write golden documents and schemas instead of comparing them")


# Modules whose fixtures take long, such as a deployment of their own.
_ON_ONE_WORKER = ("test_add_a_system.py", "test_roles.py", "test_sample_requests.py", "test_samples.py")


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out single tests to the workers, and some modules as a whole."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if module.endswith(_ON_ONE_WORKER) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    return _Scheduling(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts the longest tests first, so that no worker is left with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how much of each loop was run, for the loops that run a sample."""
    reports = [report for report in terminalreporter.stats.get("passed", ()) if report.when == "call"]
    for report in sorted(reports, key=lambda report: str(report.nodeid)):
        for text in [value for name, value in report.user_properties if name == "sample"]:
            terminalreporter.write_line(f"{report.nodeid}: {text}")


@pytest.fixture
def agrees(request: pytest.FixtureRequest) -> Callable[[Path, Any], None]:
    """Asserts that a JSON file contains exactly a document. With --update, writes the file first."""

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
    """Asserts that a Markdown file contains exactly a text between two comments. With --update, writes it first."""

    def compare(path: Path, name: str, text: str) -> None:
        begin, end = f"<!-- {name}: written by make update -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = path.read_text().partition(begin)
        present, _, after = rest.partition(end)
        if request.config.getoption("--update"):
            path.write_text(before + begin + text + end + after)
            present = text
        assert present == text, f"{name} in {path.relative_to(ROOT)} differs from the code: make update"

    return compare
