""".ci/run skips the tests in containers only if no container can run, and says so."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.contract.artefacts import ROOT

MAKE = '#!/bin/sh\necho "make $*"\n[ "$MAY_INSTALL" = yes ] || exit 1\n'


def run(folder: Path, status: int) -> "subprocess.CompletedProcess[str]":
    """Runs it with a make that prints its arguments and fails without MAY_INSTALL=yes.

    `status` is the exit code of `local_aws.containers`.
    """
    for path, text in {"bin/make": MAKE, ".venv/bin/python": f"#!/bin/sh\nexit {status}\n"}.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
        (folder / path).chmod(0o755)
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", folder / ".ci/run")
    environment = os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}", "MAY_INSTALL": "no"}
    return subprocess.run([folder / ".ci/run"], check=False, env=environment, capture_output=True, text=True, timeout=60)


def test_functions_run_in_containers_if_containers_can_run(tmp_path: Path) -> None:
    done = run(tmp_path, 0)

    assert (done.returncode, done.stdout.splitlines()) == (0, ["make lint", "make sam-local", "make test"])


def test_a_skip_is_reported(tmp_path: Path) -> None:
    done = run(tmp_path, os.EX_UNAVAILABLE)

    lint, skipped, test = done.stdout.splitlines()
    assert (done.returncode, lint, test) == (0, "make lint", "make test")
    assert skipped.startswith("SKIPPED: make sam-local")


@pytest.mark.parametrize("status", [1, 130])
def test_another_failure_is_not_a_skip(tmp_path: Path, status: int) -> None:
    done = run(tmp_path, status)

    assert done.returncode == status
    assert "SKIPPED" not in done.stdout
