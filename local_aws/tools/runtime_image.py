"""The image in which `sam local` runs the functions: that of AWS if it can be pulled, or a substitute that is built here.

The substitute is Debian's Python 3.13 with the AWS Lambda runtime interface client, in the layout of the AWS image.
https://docs.aws.amazon.com/lambda/latest/dg/python-image.html
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from local_aws.tools.system_packages import SetupError, can_install, install, run

ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
IMAGE = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
_RUNTIME = Path(__file__).parents[1] / "runtime"
_LABEL = "latchkey.recipe"
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
}
_PACKAGES = ("debootstrap", "debian-archive-keyring", "gpgv")
# This package has the links /bin and /lib. Other packages would create folders of that name.
_FIRST = "base-files_"
_COPY = f"Copy it from a machine that can pull it: `docker save {IMAGE}` there, `docker load` here."
_EXCLUDED = ("./usr/share/doc", "./usr/share/locale", "./usr/share/man")


def ensure_image() -> None:
    """Pulls or builds the image if it is missing, and rebuilds a substitute whose recipe has changed."""
    present = _recipe_of_present()
    if present in ("", _recipe()):
        print(f"Runtime image: using {IMAGE}{', a substitute built here' if present else ''}.", flush=True)
        return
    if present is None and subprocess.run(["docker", "pull", "-q", IMAGE], check=False, capture_output=True).returncode == 0:
        print(f"Runtime image: pulled {IMAGE}.", flush=True)
        return
    print(f"Runtime image: {IMAGE} cannot be pulled. Building a substitute from Debian and PyPI packages.", flush=True)
    _build()


def is_present() -> bool:
    """Returns whether the image exists, from AWS or built here."""
    return _recipe_of_present() is not None


def is_substitute() -> bool:
    """Returns whether the image was built here."""
    return bool(_recipe_of_present())


def _recipe() -> str:
    files = [Path(__file__), *sorted(_RUNTIME.iterdir())]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files if path.is_file())).hexdigest()[:16]


def _recipe_of_present() -> str | None:
    """Returns the recipe hash of the image, "" for the image of AWS, or None if there is no image."""
    form = f'{{{{index .Config.Labels "{_LABEL}"}}}}'
    inspected = subprocess.run(["docker", "image", "inspect", "-f", form, IMAGE], check=False, capture_output=True, text=True)
    return inspected.stdout.strip() if inspected.returncode == 0 else None


def _build() -> None:
    if not can_install():
        raise SetupError(f"{IMAGE} cannot be pulled, and only root on Debian can build a substitute.", _COPY)
    if not shutil.which("debootstrap"):
        install(f"{IMAGE} cannot be pulled, and debootstrap, which builds a substitute, is not installed.", *_PACKAGES)
    with tempfile.TemporaryDirectory(prefix="latchkey-image-") as folder:
        root = Path(folder) / "root"
        _unpack_debian(root, Path(folder) / "packages")
        _lay_out(root)
        _import(root)


def _unpack_debian(root: Path, folder: Path) -> None:
    """Unpacks Python and its packages without configuring them, which Python does not need and takes most of the time."""
    # Without --force-check-gpg, a missing keyring is only a warning, and the mirror could serve any package.
    options = ("--force-check-gpg", "--download-only", "--variant=minbase", "--include=python3.13")
    run("debootstrap", *options, "trixie", str(folder), _mirror())
    packages = sorted(folder.glob("var/cache/apt/archives/*.deb"), key=lambda path: not path.name.startswith(_FIRST))
    for package in packages:
        run("dpkg-deb", "-x", str(package), str(root))


def _mirror() -> str:
    """Returns the Debian mirror that apt uses on this machine."""
    mirrors = run("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Label: Debian").split()
    if not mirrors:
        raise SetupError("apt has no Debian mirror, which building a substitute for the image requires.", _COPY)
    return mirrors[0]


def _lay_out(root: Path) -> None:
    runtime, binaries = root / "var" / "runtime", root / "var" / "lang" / "bin"
    for folder in (runtime, binaries, root / "var" / "task", root / "opt"):
        folder.mkdir(parents=True, exist_ok=True)
    (binaries / "python3.13").symlink_to("/usr/bin/python3.13")
    (binaries / "python3").symlink_to("python3.13")
    requirements = ("--require-hashes", "-r", str(_RUNTIME / "requirements.txt"))
    run(sys.executable, "-m", "pip", "install", "-q", "--only-binary", ":all:", "--target", str(runtime), *requirements)
    for name in ("bootstrap", "bootstrap.py"):
        shutil.copyfile(_RUNTIME / name, runtime / name)
    (runtime / "bootstrap").chmod(0o755)
    # The skipped configuration would do this. Without it, every container compiles the standard library.
    run("chroot", str(root), "/usr/bin/python3.13", "-m", "compileall", "-q", "/usr/lib/python3.13")


def _import(root: Path) -> None:
    environment = " ".join(f"{name}={value}" for name, value in _ENVIRONMENT.items())
    changes = [f"ENV {environment}", "WORKDIR /var/task", f"LABEL {_LABEL}={_recipe()}"]
    tar = ["tar", "-C", str(root), *(f"--exclude={path}" for path in _EXCLUDED), "-c", "."]
    load = ["docker", "import", *(part for change in changes for part in ("--change", change)), "-", IMAGE]
    with subprocess.Popen(tar, stdout=subprocess.PIPE) as packing:
        imported = subprocess.run(load, check=False, stdin=packing.stdout, capture_output=True, text=True)
    if imported.returncode or packing.returncode:
        raise SetupError(f"docker import failed: {imported.stderr.strip()}", "Check that the disk is not full, and try again.")
    print(f"Runtime image: built {IMAGE}.", flush=True)
