"""Lambda layers: unpacked and compiled once per content instead of once per execution environment."""

import hashlib
import shutil
import threading
import time
import types
import zipfile
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime

_UNPACKED = Path(".aws-sam", "unpacked-layers").absolute()
_KEPT_SECONDS = 24 * 3600
_lock = threading.Lock()
_replaced: Path | None = None


def apply() -> None:
    """Gap: each worker unpacks its layers into its own folder and compiles all imports.

    This takes two seconds of every cold start. Here, the folder of a worker is a link to a shared one.
    """
    if lambda_runtime.zipfile is zipfile:
        # MiniStack catches an exception that the module does not have.
        own = {"ZipFile": _SharedZip, "LargeFileError": zipfile.LargeZipFile}
        lambda_runtime.zipfile = types.SimpleNamespace(**vars(zipfile) | own)


def replace_package(layer: Path) -> None:
    """Makes new workers use the layer in this folder instead of the deployed one."""
    global _replaced  # noqa: PLW0603
    _replaced = layer


def is_unpacked(folder: str) -> bool:
    """Returns whether a folder belongs to an unpacked layer, whose content never changes."""
    return _UNPACKED in Path(folder).parents


class _SharedZip(zipfile.ZipFile):
    """Unpacks a layer into a folder that all workers share, and any other archive to `path`."""

    def namelist(self) -> list[str]:
        """Nothing for a layer. MiniStack checks that the path of each member stays in the folder, and so does `extractall`."""
        return [] if self._is_layer else super().namelist()

    def extractall(self, path: Any = None, *args: Any, **kwargs: Any) -> None:
        if not self._is_layer:
            super().extractall(path, *args, **kwargs)
            return
        target, shared = Path(path), _UNPACKED / self._digest
        with _lock:
            if not shared.exists():
                _delete_old_layers()
                unfinished = shared.with_suffix(f".{time.monotonic_ns()}")
                super().extractall(unfinished, super().namelist())
                try:
                    unfinished.rename(shared)
                except OSError:
                    # Another embedded AWS of this clone has unpacked the same layer meanwhile.
                    shutil.rmtree(unfinished)
        target.rmdir()
        target.symlink_to(_replaced or shared, target_is_directory=True)

    @property
    def _is_layer(self) -> bool:
        return Path(str(self.filename)).name.startswith("layer_")

    @property
    def _digest(self) -> str:
        """The hash of the directory of the archive, which has the name, the size and the checksum of each member."""
        with Path(str(self.filename)).open("rb") as archive:
            archive.seek(self.start_dir)
            return hashlib.sha256(archive.read()).hexdigest()[:32]


def _delete_old_layers() -> None:
    for folder in _UNPACKED.glob("*"):
        if folder.stat().st_mtime < time.time() - _KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
