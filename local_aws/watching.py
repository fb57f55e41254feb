"""Picks up what is changed while `make local` runs: the file alone, where functions and containers look for it."""

import contextlib
import filecmp
import io
import os
import re
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import boto3
import botocore.session
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
    """Compares the times of the sources; what is as the build has it counts as picked up."""

    def __init__(self, endpoint: str, stack: str, root: Path = REPOSITORY, build: Path = _BUILD) -> None:
        self._root, self._build, self._deployed = root, build, functions(endpoint, stack)
        make: Any = boto3.client
        self._lambda = make("lambda", endpoint_url=endpoint)
        self._complaint = ""
        self._seen = {path: seen for path, seen in self._look().items() if self._is_built(path, seen)}

    def once(self) -> list[str]:
        """Picks up what has changed since the last look; says what, what only a new start brings, and what went wrong.

        The next look tries that again.
        """
        try:
            told, complaint = self._pick_up(), ""
        except Exception as error:  # files come and go while they are read, and nobody else would tell
            told, complaint = [], f"not picked up, tried again until it is: {error}"
        news = [complaint] if complaint and complaint != self._complaint else []
        self._complaint = complaint
        return told + news

    def _pick_up(self) -> list[str]:
        begun, seen = time.monotonic(), self._look()
        changed = sorted(path for path in seen.keys() | self._seen.keys() if seen.get(path) != self._seen.get(path))
        here = {path: target for path in changed if (target := self._target(path))}
        for path, target in here.items():
            _copy(path, target)
        told = [f"{path.relative_to(self._root)} has changed: start make local again" for path in changed if path not in here]
        for name in sorted({target.relative_to(self._build).parts[0] for target in here.values()}):
            if name == "LatchkeyLayer":
                layers.replace_package(self._build / name)
                lambda_runtime.reset()
            else:
                self._lambda.update_function_code(FunctionName=self._deployed[name], ZipFile=_zipped(self._build / name))
        if here:
            told += [f"the layer was built without the service {name}: start make local again" for name in self._left_out()]
        self._seen = seen
        seconds = time.monotonic() - begun
        return [f"picked up {path.relative_to(self._root)} ({seconds:.1f} s)" for path in here] + told

    @property
    def _layer(self) -> Path:
        return self._build / "LatchkeyLayer" / "python"

    def _left_out(self) -> list[str]:
        """Returns the AWS services that the package names and the layer has no model of."""
        sources = [path.read_text() for path in self._layer.glob("latchkey/**/*.py")]
        named = {word for source in sources for word in re.findall(r"""["']([a-z0-9-]+)["']""", source)}
        in_layer = {path.name for path in (self._layer / "botocore/data").iterdir()}
        return sorted(named.intersection(botocore.session.get_session().get_available_services()) - in_layer)

    def _look(self) -> Seen:
        code = [*self._root.glob("functions/*/*.py"), *self._root.glob("layers/latchkey/latchkey/**/*.py")]
        rest = [*self._root.glob("*.yaml"), *self._root.glob("layers/latchkey/requirements.*")]
        seen = {}
        for path in [*code, *rest, *self._root.glob("statemachine/*.json")]:
            with contextlib.suppress(FileNotFoundError):  # an editor replaces it just now, or keeps a lock that links nowhere
                seen[path] = path.stat().st_mtime_ns
        return seen

    def _is_built(self, path: Path, seen: int) -> bool:
        if target := self._target(path):
            return target.is_file() and filecmp.cmp(path, target, shallow=False)
        return seen <= (self._build / "template.yaml").stat().st_mtime_ns

    def _target(self, path: Path) -> Path | None:
        """Where the build keeps a file; None for what needs a deployment."""
        folder, *inner = path.relative_to(self._root).parts
        if folder == "layers" and inner[1] == "latchkey":
            return self._layer.joinpath(*inner[1:])
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
