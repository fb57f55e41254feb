"""One `make local` at a time for a clone: sam finds one, and the build that changed files are copied into is that one's."""

import fcntl
import os
from pathlib import Path
from typing import IO

from local_aws.embedded import REPOSITORY

_FILE = REPOSITORY / ".aws-sam" / "make-local.lock"


class ClaimedError(Exception):
    """Another process has claimed the clone: two lines, what is wrong and what to do."""


def claim(file: Path = _FILE) -> IO[str]:
    """A claim as long as this file is open, so that one of a killed process is none; raises ClaimedError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    claimed = file.open("a+")
    try:
        fcntl.flock(claimed, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        claimed.seek(0)
        other = claimed.read().strip()
        claimed.close()
        message = f"make local, or make sam-local, runs in this clone already, as process {other}."
        raise ClaimedError(f"{message}\nEnd it first, or start this one in a clone of its own.") from None
    claimed.truncate(0)
    print(os.getpid(), file=claimed, flush=True)
    return claimed
