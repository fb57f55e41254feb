"""Only one `make local` can run per clone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local_aws.tools.clone_lock import LockedError, lock_clone
from local_aws.tools.embedded_aws import REPOSITORY

CRASH = """
import os, pathlib, sys
from local_aws.tools.clone_lock import lock_clone
locked = lock_clone(pathlib.Path(sys.argv[1]))
os._exit(9)
"""


def test_second_process_is_rejected_with_the_id_of_the_first(tmp_path: Path) -> None:
    with lock_clone(tmp_path / "lock"), pytest.raises(LockedError) as error:
        lock_clone(tmp_path / "lock")

    problem, remedy = str(error.value).splitlines()
    assert problem == f"make local or make sam-local is already running in this clone as process {os.getpid()}."
    assert remedy == "Stop it first, or use another clone."


def test_lock_is_released_by_a_crash(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path / "lock")], check=False, cwd=REPOSITORY)
    assert done.returncode == 9

    with lock_clone(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())
