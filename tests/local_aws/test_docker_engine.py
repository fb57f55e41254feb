"""Processes share a Docker engine, and stop only one that they started. `docker` and `dockerd` are scripts here."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_aws.tools.embedded_aws import REPOSITORY, until

# The engine responds while the file `socket` exists.
DOCKERD = """#!/bin/sh
trap 'rm -f {run}/docker.pid {run}/socket; exit 0' TERM
echo $$ > {run}/docker.pid
echo $$ >> {run}/starts
while [ -e {run}/slow ]; do sleep 0.05; done
touch {run}/socket
while :; do sleep 0.05; done
"""
DOCKER = """#!/bin/sh
[ "$1 $2" = "image inspect" ] && exit 0
[ -e {run}/socket ]
"""
PROGRAM = """
import os, pathlib, sys
from local_aws.tools import containers
from local_aws.tools import docker_engine
os.geteuid, docker_engine._RUN = lambda: 0, pathlib.Path(sys.argv[1])
raise SystemExit(containers.main(sys.argv[2:]))
"""
WAITING = ("sh", "-c", "trap 'exit 3' INT; touch $0.ready; while [ ! -e $0 ]; do sleep 0.05; done")
type Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for name, text in {"docker": DOCKER, "dockerd": DOCKERD}.items():
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(text.format(run=tmp_path))
        script.chmod(0o755)
    return tmp_path


@pytest.fixture
def start(run: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []
    unset = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    environment = unset | {"PATH": f"{run}/bin:{os.environ['PATH']}"}

    def begin(*command: str) -> "subprocess.Popen[str]":
        program = (sys.executable, "-c", PROGRAM, str(run), *command)
        process = subprocess.Popen(
            program, cwd=REPOSITORY, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate(timeout=30)
    for pid in daemons(run):
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def daemons(run: Path) -> list[int]:
    """Returns the process ids of all dockerd processes that were started."""
    starts = run / "starts"
    return [int(pid) for pid in starts.read_text().split()] if starts.exists() else []


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "\nState:\tZ" not in status.read_text()


def waiting(start: Start, file: Path) -> "subprocess.Popen[str]":
    """Starts a command that ends when the file exists."""
    process = start(*WAITING, str(file))
    until(Path(f"{file}.ready").exists, "the command", 30)
    return process


def test_started_engine_is_stopped(start: Start, run: Path) -> None:
    process = start("true")

    out, _ = process.communicate(timeout=60)

    assert process.returncode == 0, out
    [daemon] = daemons(run)
    assert f"process {daemon} has ended" in out
    assert not is_alive(daemon)


def test_daemon_without_a_command_line_is_alive(start: Start, run: Path) -> None:
    """A process that is starting can have no command line in /proc."""
    (run / "bin/dockerd").rename(run / "bin/engine")
    (run / "bin/dockerd").write_text(f"#!/bin/sh\nexec sh {run}/bin/engine\n")
    (run / "bin/dockerd").chmod(0o755)
    (run / "slow").touch()
    process = start("true")
    until((run / "starts").exists, "the engine")
    (run / "slow").unlink()

    out, _ = process.communicate(timeout=60)

    assert process.returncode == 0, out
    [daemon] = daemons(run)
    assert not is_alive(daemon)


def test_running_engine_is_not_stopped(start: Start, run: Path) -> None:
    theirs = subprocess.Popen([str(run / "bin/dockerd")])
    until((run / "socket").exists, "their engine")

    out, _ = start("true").communicate(timeout=60)

    assert "using the one that runs" in out
    assert daemons(run) == [theirs.pid]
    assert theirs.poll() is None
    theirs.terminate()
    theirs.wait(30)


def test_starting_engine_is_waited_for(start: Start, run: Path) -> None:
    (run / "slow").touch()
    theirs = subprocess.Popen([str(run / "bin/dockerd")])
    until((run / "starts").exists, "their engine")
    process = start("true")
    assert process.stdout
    assert f"waiting for process {theirs.pid} to start" in process.stdout.readline()
    (run / "slow").unlink()

    process.communicate(timeout=60)

    assert process.returncode == 0
    assert daemons(run) == [theirs.pid]
    assert theirs.poll() is None
    theirs.terminate()
    theirs.wait(30)


def test_last_process_stops_the_shared_engine(start: Start, run: Path) -> None:
    first, second = waiting(start, run / "first"), waiting(start, run / "second")
    [daemon] = daemons(run)
    (run / "first").touch()
    out, _ = first.communicate(timeout=60)
    assert "other processes use it" in out
    assert is_alive(daemon)
    (run / "second").touch()

    out, _ = second.communicate(timeout=60)

    assert f"process {daemon} has ended" in out
    assert daemons(run) == [daemon]
    until(lambda: not is_alive(daemon), "the end of dockerd")


def test_engine_of_a_killed_process_is_stopped_by_the_next(start: Start, run: Path) -> None:
    first = waiting(start, run / "never")
    first.kill()
    first.wait(30)
    [daemon] = daemons(run)
    assert is_alive(daemon)

    out, _ = start("true").communicate(timeout=60)

    assert f"process {daemon} has ended" in out
    (run / "never").touch()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_command_and_then_the_engine(start: Start, run: Path, name: signal.Signals) -> None:
    process = waiting(start, run / "never")
    if name is signal.SIGINT:  # as a terminal sends it
        [command] = subprocess.run(
            ["pgrep", "-P", str(process.pid), "-x", "sh"], check=True, capture_output=True
        ).stdout.split()
        os.kill(int(command), name)
    process.send_signal(name)

    out, _ = process.communicate(timeout=60)

    assert process.returncode == 3, out
    [daemon] = daemons(run)
    assert f"process {daemon} has ended" in out


@pytest.mark.parametrize(
    ("command", "problem"), [((), "The command to run is missing."), (("absent",), "The command absent does not exist.")]
)
def test_missing_command_is_reported_before_an_engine_starts(
    start: Start, run: Path, command: tuple[str, ...], problem: str
) -> None:
    process = start(*command)

    out, _ = process.communicate(timeout=60)

    assert (process.returncode, out.splitlines()[0]) == (os.EX_UNAVAILABLE, problem)
    assert len(out.splitlines()) == 2
    assert daemons(run) == []
