"""Workers of functions with layers are forked from a process that has imported the large packages of the layers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_aws.emulator.gaps import cold_starts, layers
from local_aws.tools.embedded_aws import REPOSITORY
from local_aws.tools.lifecycle import PRELOADED

# Answers each line with what it sees, like the worker of MiniStack answers each event.
SCRIPT = """
import json, os, sys
for line in sys.stdin:
    seen = {"line": line.strip(), "pid": os.getpid(), "folder": os.getcwd(), "environment": dict(os.environ), "path": sys.path,
            "imported": "boto3" in sys.modules, "preloaded": "preloaded_module" in sys.modules,
            "name": __name__, "arguments": sys.argv}
    print(json.dumps(seen), flush=True)
    print("logged", file=sys.stderr, flush=True)
"""
Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts workers in a folder, with a layer that contains a package boto3."""
    package = tmp_path / "layer/python/boto3"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package.parent / "preloaded_module.py").touch()
    script = tmp_path / "worker.py"
    script.write_text(SCRIPT)
    started = []

    def start_worker(**environment: str) -> Any:
        variables = environment | {"_LAMBDA_LAYERS_DIRS": str(tmp_path / "layer")}
        started.append(cold_starts._start([sys.executable, str(script)], cwd=str(tmp_path), env=variables))
        return started[-1]

    yield start_worker
    for worker in started:
        worker.kill()
        worker.wait(10)


def _ask(worker: Any, line: str) -> dict[str, Any]:
    worker.stdin.write(line + "\n")
    answer: dict[str, Any] = json.loads(worker.stdout.readline())
    return answer


def test_worker_has_its_packages_imported_and_only_its_own_environment(start: Start, tmp_path: Path) -> None:
    first, second = start(NAME="first"), start(NAME="second", ONLY="second")

    seen = [_ask(first, "one"), _ask(second, "two")]

    assert [answer["line"] for answer in seen] == ["one", "two"]
    assert [answer["imported"] for answer in seen] == [True, True]
    layers = {"_LAMBDA_LAYERS_DIRS": str(tmp_path / "layer")}
    assert seen[0]["environment"] == layers | {"NAME": "first"}
    assert seen[1]["environment"] == layers | {"NAME": "second", "ONLY": "second"}
    assert {answer["folder"] for answer in seen} == {str(tmp_path)}
    assert seen[0]["path"][0] == str(tmp_path)
    assert str(tmp_path / "layer/python") not in seen[0]["path"]
    assert (seen[0]["name"], seen[0]["arguments"]) == ("__main__", [str(tmp_path / "worker.py")])
    assert first.stderr.readline() == "logged\n"
    assert (seen[0]["pid"], seen[1]["pid"]) == (first.pid, second.pid)


def test_worker_ends_with_its_input_and_by_signals(start: Start) -> None:
    closed, terminated, killed = (start() for _ in range(3))
    for worker in (closed, terminated, killed):
        _ask(worker, "started")
        assert worker.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(0)

    closed.stdin.close()
    terminated.terminate()
    killed.kill()

    assert [worker.wait(10) for worker in (closed, terminated, killed)] == [1, 1, 1]
    assert [worker.poll() for worker in (closed, terminated, killed)] == [1, 1, 1]
    terminated.terminate()
    assert not Path(f"/proc/{killed.pid}").exists()


def test_worker_without_layers_is_a_new_interpreter(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text("print(__import__('os').getppid())")

    worker = cold_starts._start(
        [sys.executable, str(tmp_path / "worker.py")],
        cwd=str(tmp_path),
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        text=True,
    )

    assert worker.communicate()[0] == f"{os.getpid()}\n"


@pytest.mark.parametrize("unpacked", [True, False])
def test_modules_are_preloaded_only_from_layers_that_do_not_change(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unpacked: bool
) -> None:
    monkeypatch.setattr(cold_starts, "_modules", ("preloaded_module", "missing_module"))
    monkeypatch.setattr(layers, "_UNPACKED", tmp_path if unpacked else tmp_path / "elsewhere")

    assert _ask(start(), "one")["preloaded"] is unpacked


def test_preloaded_modules_import_nothing_that_depends_on_the_function() -> None:
    """Logger, tracer and metrics read variables when they are created."""
    imported = "{'latchkey.observability', 'aws_xray_sdk'} & {*sys.modules}"
    line = f"import sys; [__import__(name) for name in {PRELOADED}]; print({imported})"
    environment = {"PYTHONPATH": str(REPOSITORY / "layers/latchkey")}

    done = subprocess.run([sys.executable, "-c", line], env=environment, check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "set()"
