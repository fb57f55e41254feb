"""The image in which `sam local` runs the functions: AWS's own where it can be pulled, else one that is built like it.

The stand-in is Debian's Python 3.13 with AWS's runtime interface client, laid out as in AWS's image.
https://docs.aws.amazon.com/lambda/latest/dg/python-image.html
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
IMAGE = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
_RECIPE = Path(__file__).parent / "runtime"
_LABEL = "latchkey.recipe"
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
}
# It has the links of /bin and /lib, which others would make folders.
_FIRST = "base-files_"
_FETCH = f"Fetch it where it can be pulled: docker save {IMAGE} there, docker load here."
MAY_INSTALL = "MAY_INSTALL"
_LEFT_OUT = ("./usr/share/doc", "./usr/share/locale", "./usr/share/man")


class Trouble(Exception):
    """What is wrong and what to do, a line each."""

    def __init__(self, wrong: str, remedy: str) -> None:
        super().__init__(f"{wrong}\n{remedy}")


def run(*command: str) -> str:
    """What a command prints; raises Trouble with the last line it complains with."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise Trouble(f"{' '.join(command[:3])} failed: {said}", "Run it by hand to see more, and try again.")
    return done.stdout


def may_install() -> bool:
    """Whether packages of Debian may be installed."""
    return os.environ.get(MAY_INSTALL) != "no"


def install(*packages: str) -> None:
    """As root, with apt-get."""
    print(f"{', '.join(packages)}: installed with apt-get.", flush=True)
    run("apt-get", "update", "-q")
    run("apt-get", "install", "-q", "-y", "--no-install-recommends", *packages)


def ensure_image() -> None:
    """Leaves an image that is there, unless it is a stand-in of another recipe; else pulls it, or builds the stand-in."""
    present = _recipe_of_present()
    if present in ("", _recipe()):
        print(f"Runtime image: {IMAGE} is there{' as the stand-in' if present else ''}.", flush=True)
        return
    if present is None and subprocess.run(["docker", "pull", "-q", IMAGE], check=False, capture_output=True).returncode == 0:
        print(f"Runtime image: {IMAGE} has been pulled.", flush=True)
        return
    print(f"Runtime image: {IMAGE} cannot be pulled; a stand-in is built from Debian and PyPI.", flush=True)
    _build()


def is_present() -> bool:
    """Whether an image is there, AWS's or a stand-in."""
    return _recipe_of_present() is not None


def is_stand_in() -> bool:
    """Whether the image that is there was built here."""
    return bool(_recipe_of_present())


def _recipe() -> str:
    files = [Path(__file__), *sorted(_RECIPE.iterdir())]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files if path.is_file())).hexdigest()[:16]


def _recipe_of_present() -> str | None:
    """The recipe of the image that is there: "" if it is AWS's own, None if there is none."""
    form = f'{{{{index .Config.Labels "{_LABEL}"}}}}'
    asked = subprocess.run(["docker", "image", "inspect", "-f", form, IMAGE], check=False, capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else None


def _build() -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Trouble(f"{IMAGE} can neither be pulled nor, except by root on Debian, be built.", _FETCH)
    if not shutil.which("debootstrap"):
        if not may_install():
            raise Trouble(f"{IMAGE} cannot be pulled, and {MAY_INSTALL}=no forbids to install what builds it.", _FETCH)
        install("debootstrap", "debian-archive-keyring", "gpgv")
    with tempfile.TemporaryDirectory(prefix="latchkey-image-") as folder:
        root = Path(folder) / "root"
        _unpack_debian(root, Path(folder) / "packages")
        _lay_out(root)
        _import(root)


def _unpack_debian(root: Path, folder: Path) -> None:
    """Packages as they are: Python runs without their being configured, which would take most of the time."""
    # Without the option a missing keyring is a warning, and the packages are whoever's the mirror is.
    wanted = ("--force-check-gpg", "--download-only", "--variant=minbase", "--include=python3.13")
    run("debootstrap", *wanted, "trixie", str(folder), _mirror())
    packages = sorted(folder.glob("var/cache/apt/archives/*.deb"), key=lambda path: not path.name.startswith(_FIRST))
    for package in packages:
        run("dpkg-deb", "-x", str(package), str(root))


def _mirror() -> str:
    """Where apt gets Debian from on this machine."""
    told = run("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Label: Debian").split()
    if not told:
        raise Trouble("apt knows no mirror of Debian, from which the image would be built.", _FETCH)
    return told[0]


def _lay_out(root: Path) -> None:
    runtime, binaries = root / "var" / "runtime", root / "var" / "lang" / "bin"
    for folder in (runtime, binaries, root / "var" / "task", root / "opt"):
        folder.mkdir(parents=True, exist_ok=True)
    (binaries / "python3.13").symlink_to("/usr/bin/python3.13")
    (binaries / "python3").symlink_to("python3.13")
    requirements = ("--require-hashes", "-r", str(_RECIPE / "requirements.txt"))
    run(sys.executable, "-m", "pip", "install", "-q", "--only-binary", ":all:", "--target", str(runtime), *requirements)
    for name in ("bootstrap", "bootstrap.py"):
        shutil.copyfile(_RECIPE / name, runtime / name)
    (runtime / "bootstrap").chmod(0o755)
    # Debian leaves it to the configuration; without it every container compiles the standard library for itself.
    run("chroot", str(root), "/usr/bin/python3.13", "-m", "compileall", "-q", "/usr/lib/python3.13")


def _import(root: Path) -> None:
    told = " ".join(f"{name}={value}" for name, value in _ENVIRONMENT.items())
    changes = [f"ENV {told}", "WORKDIR /var/task", f"LABEL {_LABEL}={_recipe()}"]
    pack = ["tar", "-C", str(root), *(f"--exclude={path}" for path in _LEFT_OUT), "-c", "."]
    take = ["docker", "import", *(part for change in changes for part in ("--change", change)), "-", IMAGE]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packing:
        taken = subprocess.run(take, check=False, stdin=packing.stdout, capture_output=True, text=True)
    if taken.returncode or packing.returncode:
        raise Trouble(f"docker import failed: {taken.stderr.strip()}", "See whether the disk is full, and try again.")
    print(f"Runtime image: {IMAGE} has been built.", flush=True)
