"""`python -m local_aws.containers COMMAND`: runs a command with what `sam local` needs, a Docker engine and an image.

What is there is used. What is missing is started, built or, by root on Debian, installed, and what was started is stopped.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

from local_aws.embedded import REPOSITORY, until
from local_aws.runtime_image import IMAGE, MAY_INSTALL, Trouble, ensure_image, install, is_present, may_install

_LOG = REPOSITORY / ".aws-sam" / "dockerd.log"


def main(arguments: list[str]) -> int:
    try:
        with engine():
            ensure_image()
            return subprocess.run(arguments, check=False).returncode
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1


def lacking() -> Trouble | None:
    """What `sam local` would fail for, and what to do."""
    if not answers():
        remedy = "Start one, or put `python -m local_aws.containers` before the line."
        return Trouble("sam local needs a Docker engine, and none runs.", remedy)
    if not is_present():
        return Trouble(
            f"sam local needs {IMAGE}, which is not here.", "`python -m local_aws.containers true` pulls or builds it."
        )
    return None


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """A Docker engine: the one that runs, or one of its own that ends with it."""
    if answers():
        print("Docker engine: the one that runs is used.", flush=True)
        yield
        return
    if reason := hindrance():
        raise Trouble(f"No Docker engine runs, and none can be started: {reason}.", "Start one, and try again.")
    if not shutil.which("dockerd"):
        install("docker.io", "iptables")
    _LOG.parent.mkdir(exist_ok=True)
    with _LOG.open("w") as log:
        process = subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True)
    try:
        print(f"Docker engine: dockerd is started as process {process.pid}; its log is {_LOG}.", flush=True)
        until(lambda: answers() or process.poll() is not None, "the Docker engine", 60)
        if process.poll() is not None:
            raise Trouble(f"dockerd ended with {process.returncode}.", f"Read {_LOG}, and try again.")
        yield
    finally:
        process.terminate()
        process.wait(30)
        print(f"Docker engine: process {process.pid} has ended.", flush=True)


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
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root on Linux can start one"
    if shutil.which("dockerd"):
        return ""
    if not shutil.which("apt-get"):
        return "dockerd is not installed, and there is no apt-get to install it with"
    return "" if may_install() else f"{MAY_INSTALL}=no forbids its installation"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
