"""Picks up what is changed while `make local` runs: the file alone, where functions and containers look for it."""

import io
import os
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import boto3
from ministack.core import lambda_runtime

from local_aws.developing import functions
from local_aws.embedded import REPOSITORY
from local_aws.gaps import layers

_BUILD = REPOSITORY / ".aws-sam" / "build"
_SECONDS = 0.5
type Seen = dict[Path, int]


def watch(endpoint: str, stack: str) -> None:
    """Picks up changes as long as the process lives."""
    watching = Watch(endpoint, stack)
    while True:
        time.sleep(_SECONDS)
        for line in watching.once():
            print(line, flush=True)


class Watch:
    """Compares the times of the sources; what it sees first counts as built."""

    def __init__(self, endpoint: str, stack: str, root: Path = REPOSITORY, build: Path = _BUILD) -> None:
        self._root, self._build, self._deployed = root, build, functions(endpoint, stack)
        make: Any = boto3.client
        self._lambda = make("lambda", endpoint_url=endpoint)
        self._seen = self._look()

    def once(self) -> list[str]:
        """Picks up what has changed since the last look; says what, and what only a new start brings."""
        begun, seen = time.monotonic(), self._look()
        changed = sorted(path for path in seen.keys() | self._seen.keys() if seen.get(path) != self._seen.get(path))
        self._seen = seen
        here = {path: target for path in changed if (target := self._target(path))}
        for path, target in here.items():
            _copy(path, target)
        for name in sorted({target.relative_to(self._build).parts[0] for target in here.values()}):
            if name == "LatchkeyLayer":
                layers.replace_package(self._build / name)
                lambda_runtime.reset()
            else:
                self._lambda.update_function_code(FunctionName=self._deployed[name], ZipFile=_zipped(self._build / name))
        seconds = time.monotonic() - begun
        told = [f"picked up {path.relative_to(self._root)} ({seconds:.1f} s)" for path in here]
        return told + [
            f"{path.relative_to(self._root)} has changed: start make local again" for path in changed if path not in here
        ]

    def _look(self) -> Seen:
        code = [*self._root.glob("functions/*/*.py"), *self._root.glob("layers/latchkey/latchkey/**/*.py")]
        rest = [self._root / "template.yaml", *self._root.glob("layers/latchkey/requirements.*")]
        return {path: path.stat().st_mtime_ns for path in [*code, *rest, *self._root.glob("statemachine/*.json")]}

    def _target(self, path: Path) -> Path | None:
        """Where the build keeps a file; None for what needs a deployment."""
        folder, *inner = path.relative_to(self._root).parts
        if folder == "layers" and inner[1] == "latchkey":
            return self._build.joinpath("LatchkeyLayer", "python", *inner[1:])
        logical_id = "".join(part.title() for part in inner[0].split("_")) + "Function" if folder == "functions" else ""
        return self._build.joinpath(logical_id, *inner[1:]) if logical_id in self._deployed else None


def _copy(path: Path, target: Path) -> None:
    """As a new file: the build may share the old one with sam's cache."""
    if not path.exists():
        target.unlink(missing_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".new")
    shutil.copyfile(path, unfinished)
    os.replace(unfinished, target)


def _zipped(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder))
    return packed.getvalue()
