"""System packages are installed only with MAY_INSTALL=yes."""

import os
from pathlib import Path

import pytest

from local_aws.tools import docker_engine, runtime_image
from local_aws.tools.system_packages import SetupError, install

APT_GET = '#!/bin/sh\necho "$*" >> {log}\n'
DOCKER = "#!/bin/sh\nexit 1\n"


@pytest.fixture
def apt_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The arguments of each call of apt-get. Of other commands, only a docker without an engine exists."""
    log = tmp_path / "log"
    for name, script in {"apt-get": APT_GET.format(log=log), "docker": DOCKER}.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(docker_engine, "_RUN", tmp_path)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    log.touch()
    return log


@pytest.mark.parametrize("value", [None, "", "no", "true"])
def test_without_opt_in_nothing_is_installed(apt_log: Path, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("MAY_INSTALL", raising=False)
    if value is not None:
        monkeypatch.setenv("MAY_INSTALL", value)

    with pytest.raises(SetupError) as error:
        install("hello is missing.", "hello", "world")

    assert str(error.value).splitlines() == [
        "hello is missing.",
        "Run `apt-get install hello world`, or set MAY_INSTALL=yes to let this command do it.",
    ]
    assert apt_log.read_text() == ""


def test_with_opt_in_packages_are_installed(apt_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAY_INSTALL", "yes")

    install("hello is missing.", "hello", "world")

    assert apt_log.read_text().splitlines() == ["update -q", "install -q -y --no-install-recommends hello world"]


def test_only_root_can_install(apt_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAY_INSTALL", "yes")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(SetupError, match=r"Install hello, big and world\."):
        install("hello is missing.", "hello", "big", "world")

    assert apt_log.read_text() == ""


def test_missing_engine_is_reported_with_the_command_that_installs_it(apt_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAY_INSTALL", raising=False)

    with pytest.raises(SetupError) as error, docker_engine.docker_engine():
        pytest.fail("there is no engine")

    problem, remedy = str(error.value).splitlines()
    assert problem == "No Docker engine is running, and dockerd is not installed."
    assert remedy.startswith("Run `apt-get install docker.io iptables`")
    assert apt_log.read_text() == ""


def test_missing_image_builder_is_reported_with_the_command_that_installs_it(
    apt_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAY_INSTALL", raising=False)

    with pytest.raises(SetupError) as error:
        runtime_image.ensure_image()

    problem, remedy = str(error.value).splitlines()
    assert problem.endswith("cannot be pulled, and debootstrap, which builds a substitute, is not installed.")
    assert remedy.startswith("Run `apt-get install debootstrap debian-archive-keyring gpgv`")
    assert apt_log.read_text() == ""
