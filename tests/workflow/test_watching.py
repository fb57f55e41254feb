"""What is changed while `make local` runs is picked up, and only that."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from local_aws.embedded import REGION, REPOSITORY, Embedded
from local_aws.gaps import layers
from local_aws.watching import Watch

HANDLER = "def lambda_handler(event, context):\n    return {'changed': True}\n"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the sources with a build of its own."""
    for name in ("functions/list_grants", "layers/latchkey/latchkey", "statemachine"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("template.yaml", "layers/latchkey/requirements.txt"):
        shutil.copyfile(REPOSITORY / name, tmp_path / name)
    (tmp_path / "build/ListGrantsFunction").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def watch(aws: Embedded, sources: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return Watch(aws.url, "latchkey", sources, sources / "build")


def answer(aws: Embedded) -> Any:
    functions = aws.client("lambda").get_paginator("list_functions").paginate()
    [name] = [f["FunctionName"] for page in functions for f in page["Functions"] if "ListGrants" in f["FunctionName"]]
    return json.load(aws.client("lambda").invoke(FunctionName=name, Payload='{"keys": []}')["Payload"])


def test_nothing_is_picked_up_while_nothing_changes(watch: Watch) -> None:
    assert watch.once() == []


def test_a_changed_handler_is_deployed_and_built(aws: Embedded, watch: Watch, sources: Path) -> None:
    handler = sources / "functions/list_grants/app.py"
    before = handler.read_text()
    handler.write_text(HANDLER)

    [told] = watch.once()

    assert told.startswith("picked up functions/list_grants/app.py")
    assert answer(aws) == {"changed": True}
    assert (sources / "build/ListGrantsFunction/app.py").read_text() == HANDLER
    handler.write_text(before)
    assert len(watch.once()) == 1
    assert "grants" in answer(aws)


def test_a_changed_file_of_the_layer_is_what_workers_get(watch: Watch, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_replaced", None)
    (sources / "layers/latchkey/latchkey/errors.py").write_text("CHANGED = True\n")
    (sources / "layers/latchkey/latchkey/undo.py").unlink()

    assert len(watch.once()) == 2
    assert (sources / "build/LatchkeyLayer/python/latchkey/errors.py").read_text() == "CHANGED = True\n"
    assert not (sources / "build/LatchkeyLayer/python/latchkey/undo.py").exists()
    assert layers._replaced == sources / "build/LatchkeyLayer"


@pytest.mark.parametrize("name", ["template.yaml", "statemachine/onboard-access.asl.json", "layers/latchkey/requirements.txt"])
def test_what_needs_a_deployment_is_told(watch: Watch, sources: Path, name: str) -> None:
    with (sources / name).open("a") as file:
        file.write("\n")

    assert watch.once() == [f"{name} has changed: start make local again"]
