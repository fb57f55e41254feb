"""tools/format_asl.py: make format writes the canonical form, and make lint names the file that lacks it."""

import json
from pathlib import Path

import pytest

from tools.format_asl import formatted, main

FOLDED = '{"StartAt": "End", "States": {"End": {"Type": "Fail", "Cause": "Cause: é"}}}'


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    path = tmp_path / "folded.asl.json"
    path.write_text(FOLDED, encoding="utf-8")
    return path


def test_every_member_has_its_line_and_keeps_its_place() -> None:
    assert formatted(FOLDED).splitlines() == [
        "{",
        '  "StartAt": "End",',
        '  "States": {',
        '    "End": {',
        '      "Type": "Fail",',
        '      "Cause": "Cause: é"',
        "    }",
        "  }",
        "}",
    ]


def test_the_check_names_the_file_and_changes_nothing(definition: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(definition)]) == 1
    assert f"{definition} is not formatted" in capsys.readouterr().err
    assert definition.read_text(encoding="utf-8") == FOLDED


def test_what_was_formatted_passes_the_check(definition: Path) -> None:
    assert main([str(definition)]) == 0
    assert main(["--check", str(definition)]) == 0
    assert json.loads(definition.read_text(encoding="utf-8")) == json.loads(FOLDED)


@pytest.mark.parametrize("text", ["{", '{"Retry": [], "Retry": []}'], ids=["not JSON", "a member twice"])
def test_a_file_that_cannot_be_formatted_fails_and_is_kept(
    definition: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    definition.write_text(text, encoding="utf-8")

    assert main([str(definition)]) == 1
    assert str(definition) in capsys.readouterr().err
    assert definition.read_text(encoding="utf-8") == text
