""".ci/run: containers are left out only where they cannot be had, and its output says so."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.contract.artefacts import ROOT

MAKE = '#!/bin/sh\necho "make $*"\n'


def run(folder: Path, status: int) -> "subprocess.CompletedProcess[str]":
    """What it does where `local_aws.containers` ends so; make only says what it was to make."""
    for path, text in {"bin/make": MAKE, ".venv/bin/python": f"#!/bin/sh\nexit {status}\n"}.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
        (folder / path).chmod(0o755)
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", folder / ".ci/run")
    environment = os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}"}
    return subprocess.run([folder / ".ci/run"], check=False, env=environment, capture_output=True, text=True, timeout=60)


def test_containers_are_tried_where_they_can_be_had(tmp_path: Path) -> None:
    done = run(tmp_path, 0)

    assert (done.returncode, done.stdout.splitlines()) == (0, ["make lint", "make sam-local", "make test"])


def test_where_they_cannot_it_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, os.EX_UNAVAILABLE)

    lint, told, test = done.stdout.splitlines()
    assert (done.returncode, lint, test) == (0, "make lint", "make test")
    assert told.startswith("SKIPPED: make sam-local")


@pytest.mark.parametrize("status", [1, 130])
def test_a_fault_of_ours_is_not_taken_for_that(tmp_path: Path, status: int) -> None:
    done = run(tmp_path, status)

    assert done.returncode == status
    assert "SKIPPED" not in done.stdout
