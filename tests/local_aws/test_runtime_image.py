"""The substitute image is built only from signed Debian packages and from Python packages with pinned hashes."""

import stat
from pathlib import Path

import pytest

from local_aws.tools import runtime_image
from local_aws.tools.system_packages import SetupError

# The error of the real debootstrap for a mirror whose signature it cannot check.
DEBOOTSTRAP = """#!/bin/sh
case "$*" in *--force-check-gpg*) echo 'E: Keyring-based check was requested; aborting accordingly' >&2; exit 1;; esac
"""


def test_mirror_with_an_unverifiable_signature_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "debootstrap"
    script.write_text(DEBOOTSTRAP)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(runtime_image, "_mirror", lambda: "http://mirror.invalid/debian")

    with pytest.raises(SetupError, match="Keyring-based check was requested"):
        runtime_image._unpack_debian(tmp_path / "root", tmp_path / "packages")


def test_missing_debian_mirror_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "apt-get"
    script.write_text("#!/bin/sh\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    with pytest.raises(SetupError) as error:
        runtime_image._mirror()
    assert len(str(error.value).splitlines()) == 2


def test_every_package_of_the_runtime_has_hashes() -> None:
    pinned = (runtime_image._RUNTIME / "requirements.txt").read_text().split("\n")
    packages = [number for number, line in enumerate(pinned) if "==" in line]

    assert packages
    assert all(pinned[number + 1].strip().startswith("--hash=sha256:") for number in packages)
