"""Installation of Debian packages, which requires MAY_INSTALL=yes."""

import os
import shutil
import subprocess

OPT_IN = "MAY_INSTALL"


class SetupError(Exception):
    """Something is missing on this machine. The message has two lines: what is wrong, and how to fix it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}\n{remedy}")


def run(*command: str) -> str:
    """Returns the output of a command. Raises SetupError with the last line of its error output."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise SetupError(f"{' '.join(command[:3])} failed: {last}", "Run the command by hand for its full output.")
    return done.stdout


def can_install() -> bool:
    """Returns whether this process is root on a system with apt-get."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(problem: str, *packages: str) -> None:
    """Installs Debian packages that solve `problem`. Raises SetupError without MAY_INSTALL=yes."""
    if not can_install():
        raise SetupError(problem, f"Install {_listed(packages)}.")
    if os.environ.get(OPT_IN) != "yes":
        command = f"apt-get install {' '.join(packages)}"
        raise SetupError(problem, f"Run `{command}`, or set {OPT_IN}=yes to let this command do it.")
    print(f"Installing {_listed(packages)} with apt-get.", flush=True)
    run("apt-get", "update", "-q")
    run("apt-get", "install", "-q", "-y", "--no-install-recommends", *packages)


def _listed(packages: tuple[str, ...]) -> str:
    *first, last = packages
    return f"{', '.join(first)} and {last}" if first else last
