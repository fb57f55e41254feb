"""A clone has one `make local` at a time."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local_aws.claim import ClaimedError, claim
from local_aws.embedded import REPOSITORY

CLAIM = "import os, pathlib, sys; from local_aws.claim import claim; kept = claim(pathlib.Path(sys.argv[1])); os._exit(9)"


def test_a_second_is_told_of_the_first(tmp_path: Path) -> None:
    with claim(tmp_path / "lock"), pytest.raises(ClaimedError) as refused:
        claim(tmp_path / "lock")

    wrong, remedy = str(refused.value).splitlines()
    assert re.search(r"as process (\d+)\.$", wrong)
    assert f"process {os.getpid()}." in wrong
    assert remedy == "End it first, or start this one in a clone of its own."


def test_a_claim_ends_with_its_process_however_it_ends(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CLAIM, str(tmp_path / "lock")], check=False, cwd=REPOSITORY)
    assert done.returncode == 9

    with claim(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())
