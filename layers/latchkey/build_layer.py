"""Builds the layer that every function uses. SAM runs this script through the Makefile in the same folder.

One layer serves both processor architectures. The file name of a compiled module contains its architecture
(https://peps.python.org/pep-3149/), so both variants fit into one folder and Python loads the one that matches. The layer that
the tests run is therefore, byte for byte, the layer that is deployed.
"""

import argparse
import compileall
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from py_compile import PycInvalidationMode
from zipfile import ZipFile

HERE = Path(__file__).parent
PACKAGE = HERE / "latchkey"
LOCK = HERE / "requirements.txt"

# Each architecture with its e_machine value in the ELF header: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
ARCHITECTURES = {"x86_64": 62, "aarch64": 183}
# Lambda runs Python 3.13 on Amazon Linux 2023, which has glibc 2.34.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
PLATFORMS = ("manylinux_2_28", "manylinux2014")

_EXTENSION_MODULE = re.compile(r"(.+)\.cpython-313-(\w+)-linux-gnu\.so")
_SERVICE_MODEL = re.compile(r"botocore/data/([^/]+)/")
# Command line scripts, and the metadata of a wheel that depends on the architecture.
_NOT_INSTALLED = re.compile(r"[^/]+\.data/scripts/|[^/]+\.dist-info/(RECORD$|WHEEL$|sboms/)")


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the layer.")
    parser.add_argument("output", type=Path, help="the folder that becomes /opt/python")
    parser.add_argument("wheels", type=Path, help="a folder that keeps downloaded wheels between builds")
    arguments = parser.parse_args()
    build(arguments.output, download(arguments.wheels))


def download(wheels: Path, lock: Path = LOCK) -> list[Path]:
    """Returns the locked wheels for both architectures. Downloads them only when the lock or this script has changed."""
    version = hashlib.sha256(lock.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]
    complete = wheels / version
    if not complete.exists():
        wheels.mkdir(parents=True, exist_ok=True)
        incomplete = Path(tempfile.mkdtemp(dir=wheels))
        for architecture in ARCHITECTURES:
            platforms = [f"--platform={platform}_{architecture}" for platform in PLATFORMS]
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
            target = ["--python-version=3.13", "--implementation=cp", "--only-binary=:all:", *platforms]
            locked = ["--no-deps", "--require-hashes", f"--requirement={lock}", f"--dest={incomplete}"]
            subprocess.run([*command, *target, *locked], check=True)  # noqa: S603
        try:
            incomplete.rename(complete)
        except OSError:
            # Another build has downloaded the same wheels meanwhile.
            shutil.rmtree(incomplete)
    return sorted(complete.glob("*.whl"))


def build(output: Path, wheels: list[Path], package: Path = PACKAGE) -> None:
    """Unpacks the wheels, adds the package and compiles both."""
    services = named_services(package)
    for wheel in wheels:
        unpack(wheel, output, services)
    check_extension_modules(output)
    # With an unchecked hash, Python reads the source of a library only for tracebacks. The sources of the package change while
    # `make local` runs, so Python must check their hashes.
    compile_folder(output, output, PycInvalidationMode.UNCHECKED_HASH)
    shutil.copytree(package, output / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    compile_folder(output / package.name, output, PycInvalidationMode.CHECKED_HASH)


def named_services(package: Path) -> set[str]:
    """Returns every quoted word in the package: whatever names an AWS service is among them."""
    return {word for path in package.rglob("*.py") for word in re.findall(r"""["']([a-z0-9-]+)["']""", path.read_text())}


def unpack(wheel: Path, output: Path, services: set[str]) -> None:
    """Unpacks a wheel, without botocore's models of other services. They are data: no code is left out."""
    with ZipFile(wheel) as archive:
        for name in archive.namelist():
            model = _SERVICE_MODEL.match(name)
            if name.endswith("/") or _NOT_INSTALLED.match(name) or (model and model[1] not in services):
                continue
            if ".data/" in name:
                sys.exit(f"{wheel.name} installs {name}, which {Path(__file__).name} does not support.")
            target, content = output / name, archive.read(name)
            if target.exists() and target.read_bytes() != content:
                sys.exit(f"{wheel.name} and another wheel have different files named {name}.")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def check_extension_modules(output: Path) -> None:
    """Exits if a compiled module does not have exactly one variant for each architecture."""
    variants: dict[str, set[str]] = {}
    for path in sorted(output.rglob("*.so*")):
        name = path.relative_to(output).as_posix()
        parts = _EXTENSION_MODULE.fullmatch(name)
        if not parts or parts[2] not in ARCHITECTURES:
            sys.exit(f"{name} does not name its architecture, so one layer cannot hold it for both.")
        if int.from_bytes(path.read_bytes()[18:20], "little") != ARCHITECTURES[parts[2]]:
            sys.exit(f"{name} was compiled for an architecture other than {parts[2]}.")
        variants.setdefault(parts[1], set()).add(parts[2])
    for module, architectures in variants.items():
        if missing := ARCHITECTURES.keys() - architectures:
            sys.exit(f"{module} was compiled only for {', '.join(architectures)}: no wheel has it for {', '.join(missing)}.")


def compile_folder(folder: Path, output: Path, mode: PycInvalidationMode) -> None:
    """Compiles a folder in place. Validates by hash, because archives and images do not keep the times of files."""
    if not compileall.compile_dir(folder, quiet=1, stripdir=str(output), prependdir="/opt/python", invalidation_mode=mode):
        sys.exit(f"{folder.name} cannot be compiled.")


if __name__ == "__main__":
    main()
