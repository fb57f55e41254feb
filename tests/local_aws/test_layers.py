"""A layer is unpacked once for each content, into a folder that all workers share."""

import zipfile
from pathlib import Path

import pytest

from local_aws.emulator.gaps import layers


@pytest.fixture(autouse=True)
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layers, "_UNPACKED", tmp_path / "shared")
    return tmp_path / "shared"


def unpack(folder: Path, *members: tuple[str, str], name: str = "layer_0") -> Path:
    """Does with an archive what MiniStack does for a new worker, and returns the folder."""
    (folder / name).mkdir(parents=True)
    archive = folder / f"{name}.zip"
    with zipfile.ZipFile(archive, "w") as writing:
        for path, text in members:
            writing.writestr(zipfile.ZipInfo(path), text)
    with layers._SharedZip(archive) as reading:
        reading.namelist()
        reading.extractall(folder / name)
    return folder / name


def test_workers_share_the_folder_of_the_same_content(tmp_path: Path, shared: Path) -> None:
    first = unpack(tmp_path / "first", ("python/place.py", "one"))
    second = unpack(tmp_path / "second", ("python/place.py", "one"))
    other = unpack(tmp_path / "third", ("python/place.py", "two"))

    assert first.resolve() == second.resolve() != other.resolve()
    assert [(folder / "python/place.py").read_text() for folder in (first, second, other)] == ["one", "one", "two"]
    assert len([*shared.iterdir()]) == 2


def test_no_member_is_unpacked_outside_the_folder(tmp_path: Path, shared: Path) -> None:
    unpacked = unpack(tmp_path / "worker", ("../../outside.py", ""), ("/absolute.py", ""))

    assert {path.name for path in unpacked.rglob("*.py")} == {"outside.py", "absolute.py"}
    assert {path.name for path in tmp_path.iterdir()} == {"worker", "shared"}
    assert all(path.is_dir() for path in shared.iterdir())


def test_the_code_of_a_function_is_unpacked_in_place(tmp_path: Path, shared: Path) -> None:
    unpacked = unpack(tmp_path / "worker", ("app.py", "code"), name="code")

    assert (unpacked / "app.py").read_text() == "code"
    assert not unpacked.is_symlink()
    assert not shared.exists()
