"""Layers: unpacked and compiled once for each content, not once for each execution environment."""

import hashlib
import shutil
import threading
import time
import types
import zipfile
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime

_UNPACKED = Path(__file__).parents[2] / ".aws-sam" / "unpacked-layers"
_KEPT_SECONDS = 24 * 3600
_lock = threading.Lock()
_replaced: Path | None = None


def apply() -> None:
    """ministack 1.5.33: each worker unpacks its layers into a folder of its own and compiles what it imports anew.

    That is two seconds of every cold start, and thousands of files to delete at the end. Here a worker's folder is a link.
    """
    if lambda_runtime.zipfile is zipfile:
        lambda_runtime.zipfile = types.SimpleNamespace(**vars(zipfile) | {"ZipFile": _SharedZip})


def replace_package(layer: Path) -> None:
    """From now on workers get the layer as it is in this folder, whatever was deployed: links, so it takes no time."""
    global _replaced  # noqa: PLW0603
    _replaced = layer


class _SharedZip(zipfile.ZipFile):
    """Unpacks a layer into a folder that every worker shares; any other archive where it is told to."""

    def extractall(self, path: Any = None, *args: Any, **kwargs: Any) -> None:
        target = Path(path or ".")
        if not target.name.startswith("layer_"):
            super().extractall(path, *args, **kwargs)
            return
        shared = _UNPACKED / hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()[:32]
        with _lock:
            if not shared.exists():
                _forget_old_ones()
                unfinished = shared.with_suffix(f".{time.monotonic_ns()}")
                super().extractall(unfinished)
                unfinished.rename(shared)
        target.rmdir()
        target.symlink_to(_replaced or shared, target_is_directory=True)


def _forget_old_ones() -> None:
    for folder in _UNPACKED.glob("*"):
        if folder.stat().st_mtime < time.time() - _KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
