"""layers/latchkey/build_layer.py, on wheels made for these tests."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from build_layer import ARCHITECTURES, build, download

type MakeWheel = Callable[..., Path]
PURE = "example-1.0-py3-none-any.whl"
SOURCE = '"""A library."""\nNAMES = {"a", "b", "c"}\n'


def compiled_for(architecture: str) -> bytes:
    """Returns the start of an ELF file."""
    return b"\x7fELF".ljust(18, b"\0") + ARCHITECTURES[architecture].to_bytes(2, "little")


def variant(architecture: str, module: str = "example/fast") -> str:
    return f"{module}.cpython-313-{architecture}-linux-gnu.so"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def make_wheel(tmp_path: Path) -> MakeWheel:
    def made(name: str, **contents: bytes | str) -> Path:
        wheel = tmp_path / "wheels" / name
        wheel.parent.mkdir(exist_ok=True)
        with ZipFile(wheel, "w") as archive:
            for path, content in contents.items():
                archive.writestr(path, content)
        return wheel

    return made


@pytest.fixture
def package(tmp_path: Path) -> Path:
    package = tmp_path / "latchkey"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__pycache__/deleted.cpython-313.pyc").write_bytes(b"stale")
    (package / "aws.py").write_text("KEYS = client('kms')\nFLOWS = client(\"mediaconnect\")\n")
    return package


def test_only_models_of_services_that_the_package_names_are_in_the_layer(
    tmp_path: Path, package: Path, make_wheel: MakeWheel
) -> None:
    names = [f"botocore/data/{name}" for name in ("kms/1/service-2.json", "mediaconnect/1/waiters-2.json", "endpoints.json")]
    wheel = make_wheel(PURE, **dict.fromkeys([*names, "botocore/data/ec2/1/service-2.json"], "{}"))

    build(tmp_path / "layer", [wheel], package)

    assert sorted(name for name in files(tmp_path / "layer") if name.startswith("botocore")) == sorted(names)


def test_one_layer_holds_the_variants_of_both_architectures(tmp_path: Path, package: Path, make_wheel: MakeWheel) -> None:
    wheels = [
        make_wheel(f"example-{name}.whl", **{variant(name): compiled_for(name), "example/__init__.py": SOURCE})
        for name in ARCHITECTURES
    ]

    build(tmp_path / "layer", wheels, package)

    built = files(tmp_path / "layer")
    assert {name: built[variant(name)] for name in ARCHITECTURES} == {name: compiled_for(name) for name in ARCHITECTURES}


@pytest.mark.parametrize(("contents", "message"), [
    ({variant("x86_64"): compiled_for("x86_64")}, "example/fast was compiled only for x86_64: no wheel has it for aarch64"),
    ({variant("aarch64"): compiled_for("x86_64")}, "was compiled for an architecture other than aarch64"),
    ({variant("riscv64"): compiled_for("x86_64")}, "does not name its architecture"),
    ({"example/fast.abi3.so": compiled_for("x86_64")}, "example/fast.abi3.so does not name its architecture"),
    ({"example.libs/lib.so.1": compiled_for("x86_64")}, "example.libs/lib.so.1 does not name its architecture"),
    ({"example-1.0.data/purelib/example.py": ""}, "example-1.0.data/purelib/example.py"),
    ({"example/wrong.py": "def\n"}, "cannot be compiled"),
])  # fmt: skip
def test_a_layer_that_would_not_work_on_both_architectures_is_not_built(
    tmp_path: Path, package: Path, make_wheel: MakeWheel, contents: dict[str, bytes | str], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        build(tmp_path / "layer", [make_wheel(PURE, **contents)], package)


def test_wheels_that_differ_in_a_file_are_not_merged(tmp_path: Path, package: Path, make_wheel: MakeWheel) -> None:
    wheels = [make_wheel(f"example-{name}.whl", **{"example/__init__.py": f"NAME = '{name}'"}) for name in ARCHITECTURES]

    with pytest.raises(SystemExit, match=r"different files named example/__init__[.]py"):
        build(tmp_path / "layer", wheels, package)


def test_licenses_and_entry_points_are_in_the_layer_and_scripts_are_not(
    tmp_path: Path, package: Path, make_wheel: MakeWheel
) -> None:
    kept = [f"example-1.0.dist-info/{name}" for name in ("METADATA", "entry_points.txt", "licenses/LICENSE")]
    left_out = [f"example-1.0.dist-info/{name}" for name in ("RECORD", "WHEEL", "sboms/example.json")]
    wheel = make_wheel(PURE, **dict.fromkeys([*kept, *left_out, "example-1.0.data/scripts/example.py"], ""))

    build(tmp_path / "layer", [wheel], package)

    assert sorted(name for name in files(tmp_path / "layer") if name.startswith("example")) == sorted(kept)


def test_bytecode_is_valid_by_hash_and_that_of_the_package_is_checked(
    tmp_path: Path, package: Path, make_wheel: MakeWheel
) -> None:
    build(tmp_path / "layer", [make_wheel(PURE, **{"example.py": SOURCE})], package)

    compiled = {Path(name).name: content for name, content in files(tmp_path / "layer").items() if name.endswith(".pyc")}
    # Bit 0 of the flags: by hash. Bit 1: the hash is checked. https://peps.python.org/pep-0552/
    flags = {name: int.from_bytes(content[4:8], "little") for name, content in compiled.items()}
    assert flags == {"example.cpython-313.pyc": 0b01, "aws.cpython-313.pyc": 0b11}
    assert b"/opt/python/example.py" in compiled["example.cpython-313.pyc"]


def test_two_builds_are_identical(tmp_path: Path, package: Path, make_wheel: MakeWheel) -> None:
    wheel = make_wheel(PURE, **{"example/__init__.py": SOURCE})

    for name in ("first", "second"):
        build(tmp_path / name, [wheel], package)

    assert files(tmp_path / "first") == files(tmp_path / "second")


def test_wheels_are_downloaded_for_both_architectures_once_for_each_lock(
    tmp_path: Path, make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = {
        "example-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: example\nVersion: 1.0\n",
        "example-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\n",
    }
    made = [make_wheel(f"example-1.0-cp313-cp313-manylinux2014_{name}.whl", **metadata) for name in ARCHITECTURES]
    lock = tmp_path / "requirements.txt"
    hashes = [f"--hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}" for wheel in made]
    lock.write_text(" ".join(["example==1.0", *hashes]))
    for name, value in {"CONFIG_FILE": "/dev/null", "NO_INDEX": "1", "FIND_LINKS": str(tmp_path / "wheels")}.items():
        monkeypatch.setenv(f"PIP_{name}", value)

    first = download(tmp_path / "downloaded", lock)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    second = download(tmp_path / "downloaded", lock)

    assert [wheel.name for wheel in first] == sorted(wheel.name for wheel in made)
    assert second == first
    lock.write_text(lock.read_text().replace("==1.0", "==1.1"))
    with pytest.raises(subprocess.CalledProcessError):
        download(tmp_path / "downloaded", lock)
