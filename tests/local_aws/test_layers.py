"""A layer is unpacked once for each content, into a folder that all workers share."""

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from local_aws.emulator.gaps import layers


@pytest.fixture(autouse=True)
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layers, "_UNPACKED", tmp_path / "shared")
    return tmp_path / "shared"


def archive_of(*members: tuple[str, str]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writing:
        for path, text in members:
            writing.writestr(zipfile.ZipInfo(path), text)
    return archive.getvalue()


def unpack(folder: Path, archive: bytes, name: str = "layer_0") -> Path:
    """Does with the archive of a layer what MiniStack does for a new worker, and returns the folder."""
    (folder / name).mkdir(parents=True)
    written = folder / f"{name}.zip"
    resolve = lambda _: layers._resolve_layer_zip(lambda _: archive, "arn")  # noqa: E731
    written.write_bytes(layers._spawn(resolve, SimpleNamespace()) if name == "layer_0" else archive)
    with layers._LinkingZip(written) as reading:
        reading.extractall(folder / name)
    return folder / name


def test_workers_share_the_folder_of_the_same_content(tmp_path: Path, shared: Path) -> None:
    first = unpack(tmp_path / "first", archive_of(("python/place.py", "one")))
    second = unpack(tmp_path / "second", archive_of(("python/place.py", "one")))
    other = unpack(tmp_path / "third", archive_of(("python/place.py", "two")))

    assert first.resolve() == second.resolve() != other.resolve()
    assert [(folder / "python/place.py").read_text() for folder in (first, second, other)] == ["one", "one", "two"]
    assert len([*shared.iterdir()]) == 2


def test_a_worker_writes_no_copy_of_its_layer(tmp_path: Path) -> None:
    unpack(tmp_path / "worker", archive_of(("python/large.py", "#" * 100_000)))

    assert (tmp_path / "worker/layer_0.zip").stat().st_size < 1000


def test_other_callers_get_the_layer() -> None:
    archive = archive_of(("python/place.py", "one"))

    assert layers._resolve_layer_zip(lambda _: archive, "arn") is archive


def test_a_layer_that_was_deleted_from_the_disk_is_unpacked_again(tmp_path: Path, shared: Path) -> None:
    archive = archive_of(("python/place.py", "one"))
    first = unpack(tmp_path / "first", archive)
    first.resolve().rename(tmp_path / "moved")

    assert (unpack(tmp_path / "second", archive) / "python/place.py").read_text() == "one"


def test_no_member_is_unpacked_outside_the_folder(tmp_path: Path, shared: Path) -> None:
    unpacked = unpack(tmp_path / "worker", archive_of(("../../outside.py", ""), ("/absolute.py", "")))

    assert {path.name for path in unpacked.rglob("*.py")} == {"outside.py", "absolute.py"}
    assert {path.name for path in tmp_path.iterdir()} == {"worker", "shared"}
    assert all(path.is_dir() for path in shared.iterdir())


def test_the_code_of_a_function_is_unpacked_in_place(tmp_path: Path, shared: Path) -> None:
    unpacked = unpack(tmp_path / "worker", archive_of(("app.py", "code")), name="code")

    assert (unpacked / "app.py").read_text() == "code"
    assert not unpacked.is_symlink()
    assert not shared.exists()
