"""Hot reload for `make local`: copies a changed source file to the build, where functions and containers load it from."""

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

from local_aws.emulator.gaps import layers
from local_aws.tools.embedded_aws import REPOSITORY
from local_aws.tools.sam_local import function_names

_BUILD = REPOSITORY / ".aws-sam" / "build"
_SECONDS = 0.5
type Seen = dict[Path, int]


def watch(endpoint: str, stack: str) -> None:
    """Reloads changed files for as long as the process lives, and prints what it did."""
    reload = HotReload(endpoint, stack)
    while True:
        time.sleep(_SECONDS)
        for line in reload.once():
            print(line, flush=True)


class HotReload:
    """Detects changes by modification time. A source file that is equal to its file in the build is not a change."""

    def __init__(self, endpoint: str, stack: str, root: Path = REPOSITORY, build: Path = _BUILD) -> None:
        self._root, self._build, self._deployed = root, build, function_names(endpoint, stack)
        make: Any = boto3.client
        self._lambda = make("lambda", endpoint_url=endpoint)
        self._last_error = ""
        self._seen = {path: seen for path, seen in self._scan().items() if self._is_built(path, seen)}

    def once(self) -> list[str]:
        """Reloads what has changed since the last call. Returns messages for the developer.

        A change that fails to load is tried again by the next call.
        """
        try:
            messages, problem = self._reload(), ""
        except Exception as error:  # files can change while they are read
            messages, problem = [], f"reload failed, will retry: {error}"
        news = [problem] if problem and problem != self._last_error else []
        self._last_error = problem
        return messages + news

    def _reload(self) -> list[str]:
        started, seen = time.monotonic(), self._scan()
        changed = sorted(path for path in seen.keys() | self._seen.keys() if seen.get(path) != self._seen.get(path))
        reloadable = {path: target for path in changed if (target := self._target(path))}
        for path, target in reloadable.items():
            _copy(path, target)
        messages = [f"{path.relative_to(self._root)} changed: restart make local" for path in changed if path not in reloadable]
        for name in sorted({target.relative_to(self._build).parts[0] for target in reloadable.values()}):
            if name == "LatchkeyLayer":
                layers.replace_package(self._build / name)
                lambda_runtime.reset()
            else:
                self._lambda.update_function_code(FunctionName=self._deployed[name], ZipFile=_zipped(self._build / name))
        if reloadable:
            messages += [
                f"the layer has no model of the service {name}: restart make local" for name in self._missing_services()
            ]
        self._seen = seen
        seconds = time.monotonic() - started
        return [f"reloaded {path.relative_to(self._root)} ({seconds:.1f} s)" for path in reloadable] + messages

    @property
    def _layer(self) -> Path:
        return self._build / "LatchkeyLayer" / "python"

    def _missing_services(self) -> list[str]:
        """Returns the AWS services that the package names and the layer has no model of."""
        sources = [path.read_text() for path in self._layer.glob("latchkey/**/*.py")]
        named = {word for source in sources for word in re.findall(r"""["']([a-z0-9-]+)["']""", source)}
        in_layer = {path.name for path in (self._layer / "botocore/data").iterdir()}
        return sorted(named.intersection(botocore.session.get_session().get_available_services()) - in_layer)

    def _scan(self) -> Seen:
        code = [*self._root.glob("functions/*/*.py"), *self._root.glob("layers/latchkey/latchkey/**/*.py")]
        rest = [*self._root.glob("*.yaml"), *self._root.glob("layers/latchkey/requirements.*")]
        seen = {}
        for path in [*code, *rest, *self._root.glob("statemachine/*.json")]:
            with contextlib.suppress(FileNotFoundError):  # an editor is replacing the file, or has a dangling lock link
                seen[path] = path.stat().st_mtime_ns
        return seen

    def _is_built(self, path: Path, seen: int) -> bool:
        if target := self._target(path):
            return target.is_file() and filecmp.cmp(path, target, shallow=False)
        return seen <= (self._build / "template.yaml").stat().st_mtime_ns

    def _target(self, path: Path) -> Path | None:
        """Returns the path of a source file in the build, or None if a change of it needs a deployment."""
        folder, *inner = path.relative_to(self._root).parts
        if folder == "layers" and inner[1] == "latchkey":
            return self._layer.joinpath(*inner[1:])
        logical_id = "".join(part.title() for part in inner[0].split("_")) + "Function" if folder == "functions" else ""
        return self._build.joinpath(logical_id, *inner[1:]) if logical_id in self._deployed else None


def _copy(path: Path, target: Path) -> None:
    """Replaces the target. Writing to it would change the cache of sam, which can share the file."""
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
