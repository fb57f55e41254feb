"""`python -m local_aws.containers COMMAND`: runs a command with what `sam local` needs, a Docker engine and an image.

What is there is used. What is missing is started, built or, by root on Debian, installed, and what was started is stopped.
"""

import os
import shutil
import signal
import subprocess
import sys

from local_aws.engine import answers, engine
from local_aws.runtime_image import IMAGE, Trouble, ensure_image, is_present

_USAGE = Trouble("No command to run is named.", "python -m local_aws.containers COMMAND")


def main(arguments: list[str]) -> int:
    # Until the command runs, both end this program with what it has started.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.default_int_handler)
    try:
        command = _command(arguments)
        with engine():
            ensure_image()
            return _carry_out(command)
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return os.EX_UNAVAILABLE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


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


def _command(arguments: list[str]) -> list[str]:
    if not arguments:
        raise _USAGE
    if not shutil.which(arguments[0]):
        raise Trouble(f"{arguments[0]} is no command.", "Look at its name, or put .venv on the path: . .venv/bin/activate")
    return arguments


def _carry_out(command: list[str]) -> int:
    """Its exit status; whatever signal comes, the command ends before the engine does."""
    process = subprocess.Popen(command)
    # A terminal sends Ctrl-C to the command too; SIGTERM comes to this program alone.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
    return process.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
