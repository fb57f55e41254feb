"""A Docker engine: the one that runs, or one that is started and that ends with the last process that uses it."""

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

from local_aws.tools.embedded_aws import REPOSITORY, until
from local_aws.tools.system_packages import SetupError, install

_LOG = REPOSITORY / ".aws-sam" / "dockerd.log"
# Only root can write here, and only root can start an engine.
_RUN = Path("/run")
_SECONDS = 60
_PACKAGES = ("docker.io", "iptables")


@contextlib.contextmanager
def docker_engine() -> Iterator[None]:
    """Provides a Docker engine. An engine that was started here ends with the last process that uses it."""
    if not _can_start():
        if not is_running():
            _raise_unavailable()
        print("Docker engine: using the one that runs.", flush=True)
        yield
        return
    # Every process that uses the engine has a shared lock on `users`, which has the process id of an engine started here.
    with (_RUN / "latchkey-engine-changes").open("a") as changes, (_RUN / "latchkey-engine-users").open("a+") as users:
        fcntl.flock(changes, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            _ensure_running(users)
            fcntl.flock(changes, fcntl.LOCK_UN)
            yield
        finally:
            fcntl.flock(changes, fcntl.LOCK_EX)
            _stop(users)


def is_running() -> bool:
    """Returns whether a Docker engine responds."""
    if not shutil.which("docker"):
        return False
    version = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], check=False, capture_output=True)
    return version.returncode == 0


def _can_start() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


def _raise_unavailable() -> None:
    """Raises SetupError if no engine runs and none can be started."""
    if host := os.environ.get("DOCKER_HOST"):
        raise SetupError(f"The Docker engine at DOCKER_HOST={host} does not respond.", "Start it, or unset DOCKER_HOST.")
    if not _can_start():
        raise SetupError("No Docker engine is running, and only root on Linux can start one.", "Start Docker, and try again.")


def _ensure_running(users: IO[str]) -> None:
    if is_running():
        print("Docker engine: using the one that runs.", flush=True)
        return
    _raise_unavailable()
    if starting := _daemon():
        print(f"Docker engine: waiting for process {starting} to start.", flush=True)
        _wait_for(starting, "Run `docker version` for the reason.")
        return
    if not shutil.which("dockerd"):
        install("No Docker engine is running, and dockerd is not installed.", *_PACKAGES)
    _LOG.parent.mkdir(exist_ok=True)
    with _LOG.open("w") as log:
        process = subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True)
    users.truncate(0)
    print(process.pid, file=users, flush=True)
    print(f"Docker engine: started dockerd as process {process.pid}. Its log is {_LOG}.", flush=True)
    _wait_for(process.pid, f"See its log {_LOG}.")


def _wait_for(daemon: int, remedy: str) -> None:
    with contextlib.suppress(AssertionError):
        until(lambda: is_running() or not _is_alive(daemon), "the Docker engine", _SECONDS)
    if not is_running():
        raise SetupError(f"dockerd, process {daemon}, {'does not respond' if _is_alive(daemon) else 'has ended'}.", remedy)


def _stop(users: IO[str]) -> None:
    """Stops the engine that was started here, unless another process uses it."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Docker engine: other processes use it. The last of them stops it.", flush=True)
        return
    users.seek(0)
    started = int(users.read() or 0)
    users.truncate(0)
    if started and _is_alive(started):
        os.kill(started, signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            until(lambda: not _is_alive(started), "the end of dockerd", _SECONDS)
        print(f"Docker engine: process {started} {'is still ending' if _is_alive(started) else 'has ended'}.", flush=True)


def _daemon() -> int:
    """Returns the id of a dockerd process that is starting or running, or 0."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        written = int((_RUN / "docker.pid").read_text())
        return written if _is_alive(written) else 0
    return 0


def _is_alive(daemon: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        # A child exists until it is waited for. While it starts, its command line can be empty.
        return os.waitpid(daemon, os.WNOHANG) == (0, 0)
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return "dockerd" in Path(f"/proc/{daemon}/cmdline").read_text()
    return False
