"""Runs a command with what `sam local` needs: a Docker engine and the runtime image.

Uses an engine and image that exist. Starts an engine, and pulls or builds the image, if they are missing. Stops an engine
that it started.
"""

import os
import shutil
import signal
import subprocess
import sys

from local_aws.tools.docker_engine import docker_engine, is_running
from local_aws.tools.runtime_image import IMAGE, ensure_image, is_present
from local_aws.tools.system_packages import SetupError

_USAGE = SetupError("The command to run is missing.", "Usage: python -m local_aws.containers COMMAND")


def main(arguments: list[str]) -> int:
    # Until the command runs, both signals end this process and what it started.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.default_int_handler)
    try:
        command = _command(arguments)
        with docker_engine():
            ensure_image()
            return _run(command)
    except SetupError as error:
        print(error, file=sys.stderr)
        return os.EX_UNAVAILABLE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def missing_for_sam_local() -> SetupError | None:
    """Returns why `sam local` would fail on this machine, or None."""
    if not is_running():
        return SetupError(
            "sam local needs a Docker engine, and none is running.",
            "Start Docker, or run `python -m local_aws.containers COMMAND` with the sam command.",
        )
    if not is_present():
        return SetupError(
            f"sam local needs the image {IMAGE}, which is missing.",
            "Run `python -m local_aws.containers true` to pull or build it.",
        )
    return None


def _command(arguments: list[str]) -> list[str]:
    if not arguments:
        raise _USAGE
    if not shutil.which(arguments[0]):
        raise SetupError(f"The command {arguments[0]} does not exist.", "Add .venv to the path: . .venv/bin/activate")
    return arguments


def _run(command: list[str]) -> int:
    """Returns the exit status of a command, which ends before the engine even if this process receives a signal."""
    process = subprocess.Popen(command)
    # A terminal sends Ctrl-C to the command, too. SIGTERM only reaches this process.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
    return process.wait()
