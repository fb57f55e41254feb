"""Hot reload of `make local` reloads changed files, and only those."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_aws.emulator.account import REGION
from local_aws.emulator.gaps import layers
from local_aws.tools.embedded_aws import REPOSITORY, Embedded
from local_aws.tools.hot_reload import HotReload
from tests.contract.artifacts import copy

DATA = "build/LatchkeyLayer/python/botocore/data"
HANDLER = "def lambda_handler(event, context):\n    return {'changed': True}\n"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the sources with its own build."""
    copy(tmp_path, "functions/list_grants", "layers/latchkey/latchkey", "statemachine")
    copy(tmp_path, "template.yaml", "observability.yaml", "layers/latchkey/requirements.txt")
    shutil.copytree(tmp_path / "functions/list_grants", tmp_path / "build/ListGrantsFunction")
    shutil.copytree(tmp_path / "layers/latchkey/latchkey", tmp_path / "build/LatchkeyLayer/python/latchkey")
    shutil.copytree(REPOSITORY / ".aws-sam/build/LatchkeyLayer/python/botocore/data", tmp_path / DATA)
    (tmp_path / "build/template.yaml").touch()
    return tmp_path


@pytest.fixture
def create(aws: Embedded, sources: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], HotReload]:
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr(layers, "_replaced", None)
    return lambda: HotReload(aws.url, "latchkey", sources, sources / "build")


@pytest.fixture
def reloader(create: Callable[[], HotReload]) -> HotReload:
    return create()


def invoke(aws: Embedded) -> Any:
    functions = aws.client("lambda").get_paginator("list_functions").paginate()
    [name] = [f["FunctionName"] for page in functions for f in page["Functions"] if "ListGrants" in f["FunctionName"]]
    return json.load(aws.client("lambda").invoke(FunctionName=name, Payload='{"keys": []}')["Payload"])


def test_unchanged_files_are_not_reloaded(reloader: HotReload) -> None:
    assert reloader.once() == []


def test_changed_handler_is_deployed_and_copied_to_the_build(aws: Embedded, reloader: HotReload, sources: Path) -> None:
    handler = sources / "functions/list_grants/app.py"
    before = handler.read_text()
    handler.write_text(HANDLER)

    [message] = reloader.once()

    assert message.startswith("reloaded functions/list_grants/app.py")
    assert invoke(aws) == {"changed": True}
    assert (sources / "build/ListGrantsFunction/app.py").read_text() == HANDLER
    handler.write_text(before)
    assert len(reloader.once()) == 1
    assert "grants" in invoke(aws)


def test_workers_load_a_changed_file_of_the_layer(reloader: HotReload, sources: Path) -> None:
    (sources / "layers/latchkey/latchkey/errors.py").write_text("CHANGED = True\n")
    (sources / "layers/latchkey/latchkey/place.py").unlink()

    assert len(reloader.once()) == 2
    assert (sources / "build/LatchkeyLayer/python/latchkey/errors.py").read_text() == "CHANGED = True\n"
    assert not (sources / "build/LatchkeyLayer/python/latchkey/place.py").exists()
    assert layers._replaced == sources / "build/LatchkeyLayer"


@pytest.mark.parametrize(
    "name", ["template.yaml", "observability.yaml", "statemachine/onboard-access.asl.json", "layers/latchkey/requirements.txt"]
)
def test_change_that_needs_a_deployment_is_reported(reloader: HotReload, sources: Path, name: str) -> None:
    with (sources / name).open("a") as file:
        file.write("\n")

    assert reloader.once() == [f"{name} changed: restart make local"]


@pytest.mark.parametrize("name", ["functions/list_grants/app.py", "layers/latchkey/latchkey/place.py"])
def test_change_during_the_deployment_is_reloaded(create: Callable[[], HotReload], sources: Path, name: str) -> None:
    with (sources / name).open("a") as file:
        file.write("# changed\n")

    [message] = create().once()

    assert message.startswith(f"reloaded {name}")


def test_template_newer_than_the_build_is_reported(create: Callable[[], HotReload], sources: Path) -> None:
    newer = (sources / "build/template.yaml").stat().st_mtime + 1
    os.utime(sources / "template.yaml", (newer, newer))

    assert create().once() == ["template.yaml changed: restart make local"]


def test_file_that_an_editor_replaces_is_reloaded(reloader: HotReload, sources: Path) -> None:
    handler = sources / "functions/list_grants/app.py"
    lock = handler.with_name(".#app.py")
    lock.symlink_to("user@host.1:1")  # a lock file of Emacs is a dangling link
    assert reloader.once() == []
    handler.with_name("app.py~").write_text(handler.read_text() + "# changed\n")
    handler.with_name("app.py~").rename(handler)
    lock.unlink()

    [message] = reloader.once()

    assert message.startswith("reloaded functions/list_grants/app.py")


def test_new_file_is_reloaded_and_new_function_is_reported(reloader: HotReload, sources: Path) -> None:
    (sources / "functions/list_grants/pages.py").write_text("PAGES = 1\n")
    (sources / "functions/new_verb").mkdir()
    (sources / "functions/new_verb/app.py").write_text(HANDLER)

    reloaded, message = reloader.once()

    assert reloaded.startswith("reloaded functions/list_grants/pages.py")
    assert message == "functions/new_verb/app.py changed: restart make local"


def test_failed_reload_is_reported_once_and_retried(reloader: HotReload, sources: Path) -> None:
    built = sources / "build/ListGrantsFunction"
    shutil.rmtree(built)
    built.touch()  # not a folder, like during a build
    with (sources / "functions/list_grants/app.py").open("a") as file:
        file.write("# changed\n")

    [message] = reloader.once()
    assert message.startswith("reload failed, will retry: ")
    assert reloader.once() == []
    built.unlink()
    [message] = reloader.once()

    assert message.startswith("reloaded functions/list_grants/app.py")
    assert (built / "app.py").read_text().endswith("# changed\n")


def test_service_that_the_layer_has_no_model_of_is_reported(reloader: HotReload, sources: Path) -> None:
    (sources / "layers/latchkey/latchkey/place.py").write_text('SERVICE = "sqs"\n')

    reloaded, message = reloader.once()

    assert reloaded.startswith("reloaded layers/latchkey/latchkey/place.py")
    assert message == "the layer has no model of the service sqs: restart make local"
