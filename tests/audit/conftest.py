"""Copies of the project, in which a test plants a mistake."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.artifacts import copy
from tools.audit.misconfigurations import TEMPLATES
from tools.audit.policies import Policy, policies

ROOT = Path(__file__).parents[2]
Plant = Callable[[str, str, str], Path]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Replaces a text that a file contains once or more, in a copy of the project. Returns the folder of the copy."""
    copy(
        tmp_path,
        *TEMPLATES,
        "samconfig.toml",
        "statemachine",
        "events",
        "docs",
        "tests/policies",
        "live_check",
    )

    def replace(file: str, text: str, by: str) -> Path:
        path = tmp_path / file
        content = path.read_text(encoding="utf-8")
        assert text in content
        path.write_text(content.replace(text, by), encoding="utf-8")
        return tmp_path

    return replace


@pytest.fixture(scope="session")
def written() -> list[Policy]:
    """Every policy of the project."""
    return policies(ROOT)
