"""What is changed while `make local` runs is picked up, and only that."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_aws.embedded import REGION, REPOSITORY, Embedded
from local_aws.gaps import layers
from local_aws.watching import Watch
from tests.contract.artefacts import copy

DATA = "build/LatchkeyLayer/python/botocore/data"
HANDLER = "def lambda_handler(event, context):\n    return {'changed': True}\n"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the sources with a build of its own."""
    copy(tmp_path, "functions/list_grants", "layers/latchkey/latchkey", "statemachine")
    copy(tmp_path, "template.yaml", "observability.yaml", "layers/latchkey/requirements.txt")
    shutil.copytree(tmp_path / "functions/list_grants", tmp_path / "build/ListGrantsFunction")
    shutil.copytree(tmp_path / "layers/latchkey/latchkey", tmp_path / "build/LatchkeyLayer/python/latchkey")
    shutil.copytree(REPOSITORY / ".aws-sam/build/LatchkeyLayer/python/botocore/data", tmp_path / DATA)
    (tmp_path / "build/template.yaml").touch()
    return tmp_path


@pytest.fixture
def begin(aws: Embedded, sources: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Watch]:
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr(layers, "_replaced", None)
    return lambda: Watch(aws.url, "latchkey", sources, sources / "build")


@pytest.fixture
def watch(begin: Callable[[], Watch]) -> Watch:
    return begin()


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


def test_a_changed_file_of_the_layer_is_what_workers_get(watch: Watch, sources: Path) -> None:
    (sources / "layers/latchkey/latchkey/errors.py").write_text("CHANGED = True\n")
    (sources / "layers/latchkey/latchkey/onboarding/undo_onboarding.py").unlink()

    assert len(watch.once()) == 2
    assert (sources / "build/LatchkeyLayer/python/latchkey/errors.py").read_text() == "CHANGED = True\n"
    assert not (sources / "build/LatchkeyLayer/python/latchkey/onboarding/undo_onboarding.py").exists()
    assert layers._replaced == sources / "build/LatchkeyLayer"


@pytest.mark.parametrize(
    "name",
    ["template.yaml", "observability.yaml", "statemachine/onboard-access.asl.json", "layers/latchkey/requirements.txt"],
)
def test_what_needs_a_deployment_is_told(watch: Watch, sources: Path, name: str) -> None:
    with (sources / name).open("a") as file:
        file.write("\n")

    assert watch.once() == [f"{name} has changed: start make local again"]


@pytest.mark.parametrize("name", ["functions/list_grants/app.py", "layers/latchkey/latchkey/onboarding/undo_onboarding.py"])
def test_what_was_changed_while_the_stack_was_deployed_is_picked_up(
    begin: Callable[[], Watch], sources: Path, name: str
) -> None:
    with (sources / name).open("a") as file:
        file.write("# changed\n")

    [told] = begin().once()

    assert told.startswith(f"picked up {name}")


def test_a_template_that_is_newer_than_the_build_is_told(begin: Callable[[], Watch], sources: Path) -> None:
    newer = (sources / "build/template.yaml").stat().st_mtime + 1
    os.utime(sources / "template.yaml", (newer, newer))

    assert begin().once() == ["template.yaml has changed: start make local again"]


def test_a_file_that_an_editor_replaces_is_picked_up(watch: Watch, sources: Path) -> None:
    handler = sources / "functions/list_grants/app.py"
    lock = handler.with_name(".#app.py")
    lock.symlink_to("user@host.1:1")  # as Emacs does; it links to nothing
    assert watch.once() == []
    handler.with_name("app.py~").write_text(handler.read_text() + "# changed\n")
    handler.with_name("app.py~").rename(handler)
    lock.unlink()

    [told] = watch.once()

    assert told.startswith("picked up functions/list_grants/app.py")


def test_a_new_file_is_picked_up_and_a_new_function_told(watch: Watch, sources: Path) -> None:
    (sources / "functions/list_grants/pages.py").write_text("PAGES = 1\n")
    (sources / "functions/new_verb").mkdir()
    (sources / "functions/new_verb/app.py").write_text(HANDLER)

    picked_up, told = watch.once()

    assert picked_up.startswith("picked up functions/list_grants/pages.py")
    assert told == "functions/new_verb/app.py has changed: start make local again"


def test_what_cannot_be_picked_up_is_told_once_and_tried_again(watch: Watch, sources: Path) -> None:
    built = sources / "build/ListGrantsFunction"
    shutil.rmtree(built)
    built.touch()  # no folder any more, as while another build is made
    with (sources / "functions/list_grants/app.py").open("a") as file:
        file.write("# changed\n")

    [told] = watch.once()
    assert told.startswith("not picked up, tried again until it is: ")
    assert watch.once() == []
    built.unlink()
    [told] = watch.once()

    assert told.startswith("picked up functions/list_grants/app.py")
    assert (built / "app.py").read_text().endswith("# changed\n")


def test_a_service_that_the_layer_has_no_model_of_asks_for_a_restart(watch: Watch, sources: Path) -> None:
    (sources / "layers/latchkey/latchkey/onboarding/undo_onboarding.py").write_text('SERVICE = "sqs"\n')

    picked_up, message = watch.once()

    assert picked_up.startswith("picked up layers/latchkey/latchkey/onboarding/undo_onboarding.py")
    assert message == "the layer was built without the service sqs: start make local again"
