"""What pipx installs contains everything that the command line needs."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from tests.contract.artifacts import ROOT, copy

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
import latchkey_cli, live_check
for package in (latchkey_cli, live_check):
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
outside = [m.__file__ for m in sys.modules.values() if (getattr(m, "__name__", "") or "").split(".")[0] in
           ("latchkey", "latchkey_cli", "live_check") and not (m.__file__ or "").startswith(sys.path[0])]
assert not outside, outside
from latchkey.aws.clients import botocore_session
model = botocore_session().get_service_model("secretsmanager")
assert "ListResourcePolicies" in model.operation_names
from latchkey_cli.main import main
sys.exit(main(["--help"]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of the wheel that pipx builds from the repository."""
    folder = tmp_path_factory.mktemp("installation")
    copy(folder / "project", "pyproject.toml", "cli", "live_check", "layers")
    build = "import setuptools.build_meta as build; print(build.build_wheel('..'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=folder / "project", capture_output=True, text=True, check=True)
    with ZipFile(folder / done.stdout.splitlines()[-1]) as wheel:
        wheel.extractall(folder / "installed")
    return folder / "installed"


def test_an_installation_runs_without_the_repository(installed: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHONPATH": str(installed)}
    run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(installed)!r})\n{IMPORT_EVERYTHING}"]
    done = subprocess.run(run, cwd=installed.parent, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "onboard" in done.stdout


def test_an_installation_has_the_command_and_nothing_else(installed: Path) -> None:
    [metadata] = installed.glob("*.dist-info")

    assert {path.name for path in installed.iterdir()} == {"latchkey", "latchkey_cli", "live_check", metadata.name}
    assert "latchkey = latchkey_cli.main:main" in (metadata / "entry_points.txt").read_text()


def test_the_pinned_versions_are_those_that_an_installation_accepts() -> None:
    pinned = dict(
        line.split(" ")[0].split("==") for line in (ROOT / "requirements-dev.txt").read_text().splitlines() if "==" in line
    )

    for text in PROJECT["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pinned[requirement.name]), text
