"""The switches are declared once: tests, the matrix and the documents take them from the fields of Assumptions."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from local_aws.emulator.assumptions import BASE_VARIABLE, Assumptions, values_to_try

ROOT = Path(__file__).parents[2]
SWITCHES = {field.alias or name for name, field in Assumptions.model_fields.items()}
TRIED = {name for values in values_to_try() for name in values}


class _Group(BaseModel):
    first: bool = False
    second: bool = False


class _Extended(Assumptions):
    new_group: _Group = _Group()
    new_choice: Literal["this", "that", "neither"] = "this"
    new_flag: bool = True


class _Undeclared(Assumptions):
    new_seconds: float = 0


def test_new_switch_is_tried_with_every_value_but_its_default() -> None:
    known = values_to_try()

    added = [values for values in values_to_try(_Extended) if values not in known]

    in_group = [{"newGroup": {"first": True}}, {"newGroup": {"second": True}}]
    assert added == [*in_group, {"newChoice": "that"}, {"newChoice": "neither"}, {"newFlag": False}]


def test_switch_without_known_values_must_declare_them() -> None:
    with pytest.raises(TypeError, match="new_seconds"):
        values_to_try(_Undeclared)


def test_every_value_to_try_is_valid_and_differs_from_the_defaults() -> None:
    default = Assumptions()

    assert all(Assumptions.model_validate(values) != default for values in values_to_try())
    assert {"lateSeconds", "clockSeconds"} == SWITCHES - TRIED


def test_both_documents_name_every_switch() -> None:
    readme, register = (ROOT / "local_aws/README.md").read_text(), (ROOT / "docs/assumptions.md").read_text()
    [table] = re.findall(r"^\| Switch \|.*\n\|[-|]+\|\n((?:\|.*\|\n)+)", readme, re.MULTILINE)
    in_table = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    cells = [row.rstrip(" |").rsplit(" | ", 1)[1] for row in re.findall(r"^\| [A-Z]\d+ \|.*\|$", register, re.MULTILINE)]
    in_register = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}

    assert in_table == SWITCHES
    assert in_register - {"lateSeconds"} == TRIED


def _values_with(base: str) -> Any:
    """Returns the values in a process with this base, at first and after a change and a reset."""
    code = (
        "import json; from local_aws.emulator.assumptions import CURRENT; first = CURRENT.value;"
        "CURRENT.update({'grantForm': 'principal', 'emptyPages': True});"
        "print(json.dumps([first.model_dump(by_alias=True), CURRENT.reset().model_dump(by_alias=True)]))"
    )
    environment = os.environ | {BASE_VARIABLE: base}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_reset_returns_to_the_values_in_the_environment() -> None:
    expected = Assumptions().model_dump(by_alias=True)

    assert _values_with("") == [expected] * 2
    assert _values_with('{"grantForm": "service-principal"}') == [expected | {"grantForm": "service-principal"}] * 2


def test_unknown_switch_in_the_environment_is_an_error() -> None:
    with pytest.raises(AssertionError, match="unheardOf"):
        _values_with('{"unheardOf": 1}')
