"""tools/compare_models.py: it finds what differs in the newest models of the operations that the package calls."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore
import pytest

from tests.contract.artifacts import ROOT
from tests.contract.test_permissions import called
from tools.compare_models import ACCEPTED, SERVICES, differences, main, model_of, operations_used

INSTALLED = Path(botocore.__file__).parent / "data"
type Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def newest(tmp_path: Path) -> Callable[..., Path]:
    """Copies the installed models of all services that the package calls, with a change in one of them."""

    def plant(service: str = "kms", change: Change = lambda _: None) -> Path:
        for name in SERVICES:
            version = max((INSTALLED / name).iterdir()).name
            target = tmp_path / name / version
            target.mkdir(parents=True)
            model = model_of(INSTALLED, name)
            if name == service:
                change(model)
            # json.dump and a higher level of compression would take most of the time of these tests.
            content = gzip.compress(json.dumps(model).encode(), compresslevel=1)
            (target / "service-2.json.gz").write_bytes(content)
        return tmp_path

    return plant


@pytest.fixture
def none_accepted(tmp_path: Path) -> Path:
    path = tmp_path / "accepted.txt"
    path.write_text("# nothing\n")
    return path


def _add_member(model: dict[str, Any]) -> None:
    model["shapes"]["Tag"]["members"]["Scope"] = {"shape": "TagValueType"}


def _require_member(model: dict[str, Any]) -> None:
    model["shapes"]["ListGrantsRequest"]["required"].append("Limit")


def _shorten_value(model: dict[str, Any]) -> None:
    model["shapes"]["PolicyType"]["max"] = 100


def _extend_enum(model: dict[str, Any]) -> None:
    model["shapes"]["KeyState"]["enum"].append("Resting")


def _add_error(model: dict[str, Any]) -> None:
    model["operations"]["PutKeyPolicy"]["errors"].append({"shape": "TagException"})


def _remove_operation(model: dict[str, Any]) -> None:
    del model["operations"]["RevokeGrant"]


def _add_resource_policies(model: dict[str, Any]) -> None:
    model["operations"]["ListKeyPolicyNames"] = model["operations"].pop("ListKeyPolicies")


PLANTED: dict[str, tuple[Change, str]] = {
    "a new member": (_add_member, "CreateKey"),
    "a required member": (_require_member, "ListGrants"),
    "a shorter value": (_shorten_value, "PutKeyPolicy"),
    "a new value": (_extend_enum, "DescribeKey"),
    "a new error": (_add_error, "PutKeyPolicy"),
    "a removed operation": (_remove_operation, "RevokeGrant"),
}


@pytest.mark.parametrize(("change", "operation"), PLANTED.values(), ids=PLANTED)
def test_a_difference_is_found_and_fails(
    newest: Callable[..., Path], none_accepted: Path, capsys: pytest.CaptureFixture[str], change: Change, operation: str
) -> None:
    path = newest("kms", change)

    assert main([f"--newest={path}", f"--accepted={none_accepted}"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"kms {operation}: ") for line in lines)
    assert all(line.startswith("kms ") for line in lines)


def test_documentation_and_unused_operations_are_no_differences(newest: Callable[..., Path]) -> None:
    def change(model: dict[str, Any]) -> None:
        model["operations"]["DescribeKey"]["documentation"] = "rewritten"
        model["shapes"]["KeyState"]["documentation"] = "rewritten"
        _add_resource_policies(model)

    assert differences(INSTALLED, newest("kms", change)) == []


def test_an_accepted_difference_passes_as_long_as_it_exists(
    newest: Callable[..., Path], none_accepted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, arguments = newest("kms", _remove_operation), [f"--accepted={none_accepted}"]
    [found] = differences(INSTALLED, path)
    none_accepted.write_text(f"# Latchkey does not need it.\n{found}\n")
    assert main([f"--newest={path}", *arguments]) == 0

    assert main([f"--newest={INSTALLED}", *arguments]) == 1
    assert f"no longer a difference: {found}" in capsys.readouterr().out


def test_every_operation_that_the_package_calls_is_compared() -> None:
    prefixes = {"states": "stepfunctions"}
    names = {(prefixes.get(service, service), operation) for service, operation in (one.split(":") for one in called())}

    assert names <= {(service, operation) for service, used in operations_used().items() for operation in used}


def test_accepted_differences_have_reasons() -> None:
    text = (ROOT / ACCEPTED).read_text()
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    assert all(block[0].startswith("# ") for block in blocks)
