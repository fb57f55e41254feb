"""A build replaces the former one only when it is complete, so that tests and `make local` find one while it runs."""

import subprocess
from pathlib import Path

import pytest

from tests.contract.artifacts import copy

# A `sam` that shows what the former build looks like while it builds, and then builds or fails.
SAM = """#!/bin/sh
echo "meanwhile: $(cat .aws-sam/build/template.yaml)"
while [ "$1" != "--build-dir" ]; do shift; done
mkdir -p "$2" && echo "new build" > "$2/template.yaml"
exit {status}
"""


def build(folder: Path, status: int) -> "subprocess.CompletedProcess[str]":
    copy(folder, "Makefile", "samconfig.toml", "requirements-dev.txt", "template.yaml", "observability.yaml")
    for name in ("functions", "layers", "statemachine", ".venv/bin", ".aws-sam/build"):
        (folder / name).mkdir(parents=True)
    (folder / ".venv/ready").touch()
    (folder / ".aws-sam/build/template.yaml").write_text("former build")
    (folder / ".venv/bin/sam").write_text(SAM.format(status=status))
    (folder / ".venv/bin/sam").chmod(0o755)
    command = ["make", "--always-make", "--old-file=.venv/ready", "--no-print-directory", ".aws-sam/build/template.yaml"]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("status", "left"), [(0, "new build"), (1, "former build")])
def test_a_build_leaves_the_former_one_until_it_is_complete(tmp_path: Path, status: int, left: str) -> None:
    result = build(tmp_path, status)

    assert (result.returncode == 0) is (status == 0)
    assert "meanwhile: former build" in result.stdout
    assert (tmp_path / ".aws-sam/build/template.yaml").read_text().strip() == left
    assert [path.name for path in (tmp_path / ".aws-sam").iterdir()] == ["build"]
