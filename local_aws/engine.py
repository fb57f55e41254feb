"""A Docker engine: the one that runs, or one that is started and that the last program to use it ends."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from local_aws.embedded import REPOSITORY, until
from local_aws.runtime_image import MAY_INSTALL, Trouble, install, may_install

_LOG = REPOSITORY / ".aws-sam" / "dockerd.log"
# Root's alone, as are the engines that can be started.
_RUN = Path("/run")
_SECONDS = 60


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """A Docker engine; one that was started here ends with the last program that is inside."""
    if not _can_start():
        if reason := hindrance():
            raise _none(reason)
        print("Docker engine: the one that runs is used.", flush=True)
        yield
        return
    # Of `users` every program inside has a share; it holds the process id of an engine that one of them has started.
    with (_RUN / "latchkey-engine-changes").open("a") as changes, (_RUN / "latchkey-engine-users").open("a+") as users:
        fcntl.flock(changes, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            _ensure_running(users)
            fcntl.flock(changes, fcntl.LOCK_UN)
            yield
        finally:
            fcntl.flock(changes, fcntl.LOCK_EX)
            _end(users)


def answers() -> bool:
    """Does an engine answer?"""
    if not shutil.which("docker"):
        return False
    asked = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], check=False, capture_output=True)
    return asked.returncode == 0


def hindrance() -> str:
    """Why no engine can be had, or "" if one runs, can be started or may be installed."""
    if answers():
        return ""
    if os.environ.get("DOCKER_HOST"):
        return "the one that DOCKER_HOST names does not answer"
    if not _can_start():
        return "only root on Linux can start one"
    if shutil.which("dockerd"):
        return ""
    if not shutil.which("apt-get"):
        return "dockerd is not installed, and there is no apt-get to install it with"
    return "" if may_install() else f"{MAY_INSTALL}=no forbids its installation"


def _can_start() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


def _none(reason: str) -> Trouble:
    return Trouble(f"No Docker engine runs, and none can be started: {reason}.", "Start one, and try again.")


def _ensure_running(users: IO[str]) -> None:
    if answers():
        print("Docker engine: the one that runs is used.", flush=True)
        return
    if reason := hindrance():
        raise _none(reason)
    if starting := _daemon():
        print(f"Docker engine: process {starting} is starting already.", flush=True)
        _wait_for(starting, "docker version")
        return
    if not shutil.which("dockerd"):
        install("docker.io", "iptables")
    _LOG.parent.mkdir(exist_ok=True)
    with _LOG.open("w") as log:
        process = subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True)
    users.truncate(0)
    print(process.pid, file=users, flush=True)
    print(f"Docker engine: dockerd is started as process {process.pid}; its log is {_LOG}.", flush=True)
    _wait_for(process.pid, str(_LOG))


def _wait_for(daemon: int, place: str) -> None:
    with contextlib.suppress(AssertionError):
        until(lambda: answers() or not _lives(daemon), "the Docker engine", _SECONDS)
    if not answers():
        raise Trouble(f"dockerd, process {daemon}, {'does not answer' if _lives(daemon) else 'has ended'}.", f"See {place}.")


def _end(users: IO[str]) -> None:
    """Ends the engine that was started, unless others still use it; another that runs by now is left alone."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Docker engine: others use it still; the last of them ends what was started.", flush=True)
        return
    users.seek(0)
    started = int(users.read() or 0)
    users.truncate(0)
    if started and _lives(started):
        os.kill(started, signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            until(lambda: not _lives(started), "the end of dockerd", _SECONDS)
        print(f"Docker engine: process {started} {'is still ending' if _lives(started) else 'has ended'}.", flush=True)


def _daemon() -> int:
    """The process that has begun to be this machine's engine, or 0."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        written = int((_RUN / "docker.pid").read_text())
        return written if _lives(written) else 0
    return 0


def _lives(daemon: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        # A child must be waited for to be gone; on a cold disk it has no command line until the kernel has read it.
        return os.waitpid(daemon, os.WNOHANG) == (0, 0)
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return "dockerd" in Path(f"/proc/{daemon}/cmdline").read_text()
    return False
