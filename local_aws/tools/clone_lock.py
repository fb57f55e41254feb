"""A lock that allows one `make local` or `make sam-local` per clone: both use the build and the files that sam reads."""

import fcntl
import os
from pathlib import Path
from typing import IO

from local_aws.tools.embedded_aws import REPOSITORY

_FILE = REPOSITORY / ".aws-sam" / "make-local.lock"


class LockedError(Exception):
    """Another process has the lock. The message has two lines: what is wrong, and how to fix it."""


def lock_clone(file: Path = _FILE) -> IO[str]:
    """Returns the open lock file. Closing it, or the end of the process, releases the lock. Raises LockedError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    locked = file.open("a+")
    try:
        fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        locked.seek(0)
        other = locked.read().strip()
        locked.close()
        message = f"make local or make sam-local is already running in this clone as process {other}."
        raise LockedError(f"{message}\nStop it first, or use another clone.") from None
    locked.truncate(0)
    print(os.getpid(), file=locked, flush=True)
    return locked
