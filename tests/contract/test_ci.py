""".ci/run skips the tests in containers only if this machine cannot run containers, and reports that it did."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.contract.artifacts import ROOT

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


def test_it_runs_the_tests_in_containers_where_containers_can_run(tmp_path: Path) -> None:
    result = run(tmp_path, 0)

    assert (result.returncode, result.stdout.splitlines()) == (0, ["make lint", "make audit", "make sam-local", "make test"])


def test_it_reports_that_it_skipped_them_where_containers_cannot_run(tmp_path: Path) -> None:
    result = run(tmp_path, os.EX_UNAVAILABLE)

    lint, audit, skipped, test = result.stdout.splitlines()
    assert (result.returncode, lint, audit, test) == (0, "make lint", "make audit", "make test")
    assert skipped.startswith("SKIPPED: make sam-local")


@pytest.mark.parametrize("status", [1, 130])
def test_it_fails_without_a_skip_on_any_other_exit_status(tmp_path: Path, status: int) -> None:
    result = run(tmp_path, status)

    assert result.returncode == status
    assert "SKIPPED" not in result.stdout
