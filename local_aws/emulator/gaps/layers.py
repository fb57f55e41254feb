"""Lambda layers: unpacked and compiled once per content instead of once per execution environment."""

import functools
import hashlib
import io
import shutil
import threading
import time
import types
import zipfile
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local_aws.emulator.gaps.patching import Around, wrap

_UNPACKED = Path(".aws-sam", "unpacked-layers").absolute()
_KEPT_SECONDS = 24 * 3600
_lock = threading.Lock()
_replaced: Path | None = None
_is_worker_starting: ContextVar[bool] = ContextVar("is_worker_starting", default=False)


def apply() -> None:
    """Gap: each worker writes its layers to the disk, unpacks them into its own folder and compiles all imports.

    This takes two seconds of every cold start, and the disk space of all layers for every worker. Here, the folder of a worker
    is a link to a shared one.
    """
    wrap(lambda_runtime.Worker, "_spawn", _spawn)
    wrap(lambda_svc, "_resolve_layer_zip", _resolve_layer_zip)
    if lambda_runtime.zipfile is zipfile:
        # MiniStack catches an exception that the module does not have.
        own = {"ZipFile": _LinkingZip, "LargeFileError": zipfile.LargeZipFile}
        lambda_runtime.zipfile = types.SimpleNamespace(**vars(zipfile) | own)


def replace_package(layer: Path) -> None:
    """Makes new workers use the layer in this folder instead of the deployed one."""
    global _replaced  # noqa: PLW0603
    _replaced = layer


def is_unpacked(folder: str) -> bool:
    """Returns whether a folder belongs to an unpacked layer, whose content never changes."""
    return _UNPACKED in Path(folder).parents


def _spawn(original: Around, worker: Any) -> Any:
    token = _is_worker_starting.set(True)
    try:
        return original(worker)
    finally:
        _is_worker_starting.reset(token)


def _resolve_layer_zip(original: Around, attachment: Any) -> bytes | None:
    """For a worker, returns an archive without members. Its comment is the folder of the unpacked layer."""
    archive: bytes | None = original(attachment)
    if not archive or not _is_worker_starting.get():
        return archive
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as writing:
        writing.comment = str(_replaced or _unpacked(archive)).encode()
    return empty.getvalue()


class _LinkingZip(zipfile.ZipFile):
    """Makes `path` a link to the folder in the comment of a layer, and unpacks any other archive there."""

    def extractall(self, path: Any = None, *args: Any, **kwargs: Any) -> None:
        target = Path(path or ".")
        if not target.name.startswith("layer_"):
            super().extractall(path, *args, **kwargs)
            return
        target.rmdir()
        target.symlink_to(self.comment.decode(), target_is_directory=True)


def _unpacked(archive: bytes) -> Path:
    """Returns the folder of a layer, and unpacks the layer there if it is new."""
    shared = _UNPACKED / _digest(archive)
    with _lock:
        if not shared.exists():
            _delete_old_layers()
            unfinished = shared.with_suffix(f".{time.monotonic_ns()}")
            zipfile.ZipFile(io.BytesIO(archive)).extractall(unfinished)
            try:
                unfinished.rename(shared)
            except OSError:
                # Another embedded AWS of this clone has unpacked the same layer meanwhile.
                shutil.rmtree(unfinished)
    return shared


@functools.cache  # the archives of an account are always the same objects, so that Python does not hash them again
def _digest(archive: bytes) -> str:
    return hashlib.sha256(archive).hexdigest()[:32]


def _delete_old_layers() -> None:
    for folder in _UNPACKED.glob("*"):
        if folder.stat().st_mtime < time.time() - _KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
