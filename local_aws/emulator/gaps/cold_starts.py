"""Cold starts: Python workers are forked from a process that has already imported the large packages of their layers."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime

from local_aws.emulator import fork_server
from local_aws.emulator.gaps import layers as unpacking

_lock = threading.Lock()
_servers: dict[str, socket.socket] = {}
_modules: tuple[str, ...] = ()


def apply() -> None:
    """Gap: each worker is a new interpreter that imports everything, which takes half a second of a core."""
    can_fork = sys.platform == "linux" and hasattr(os, "pidfd_open")
    if can_fork and lambda_runtime.subprocess is subprocess:
        lambda_runtime.subprocess = types.SimpleNamespace(**vars(subprocess) | {"Popen": _start})


def preload(*modules: str) -> None:
    """Imports these modules of layers before workers are forked. No variable of a function may matter to their import."""
    global _modules  # noqa: PLW0603
    _modules = modules


def _start(command: list[str], **options: Any) -> Any:
    layers = options.get("env", {}).get("_LAMBDA_LAYERS_DIRS", "")
    if command[0] != sys.executable or not layers:
        return subprocess.Popen(command, **options)
    return _ForkedWorker(command[1], options["cwd"], options["env"], layers)


class _ForkedWorker:
    """The part of subprocess.Popen that MiniStack uses. The exit status of the process is unknown."""

    def __init__(self, script: str, folder: str, environment: dict[str, str], layers: str) -> None:
        (child_in, own_in), (own_out, child_out), (own_err, child_err) = os.pipe(), os.pipe(), os.pipe()
        message = json.dumps({"script": script, "folder": folder, "environment": environment}).encode()
        with _lock:
            server = _server(layers)
            socket.send_fds(server, [message], [child_in, child_out, child_err])
            self.pid = int(server.recv(32))
        for descriptor in (child_in, child_out, child_err):
            os.close(descriptor)
        self.stdin = os.fdopen(own_in, "w", buffering=1)
        self.stdout, self.stderr = os.fdopen(own_out), os.fdopen(own_err)
        self._pidfd: int | None = None
        with contextlib.suppress(ProcessLookupError):  # it has already ended
            self._pidfd = os.pidfd_open(self.pid)

    def poll(self) -> int | None:
        """Returns 1 if the process has ended."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        if (status := self._ended(timeout)) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return status

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self._pidfd is None:
            return 1
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(None if timeout is None else timeout * 1000):
            return None
        os.close(self._pidfd)
        self._pidfd = None
        return 1

    def _send(self, name: signal.Signals) -> None:
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, name)


def _server(layers: str) -> socket.socket:
    """Returns a connection to the process that imported the packages of these layers, which it starts if necessary."""
    folders = [str((Path(layer) / "python").resolve()) for layer in layers.split(os.pathsep) if layer]
    key = os.pathsep.join(folders)
    if key not in _servers:
        own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for side in (own, theirs):
            side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, fork_server.MESSAGE_BYTES)
        # A folder that `make local` watches changes, so workers have to import its modules themselves.
        modules = _modules if all(unpacking.is_unpacked(folder) for folder in folders) else ()
        command = [sys.executable, "-m", fork_server.__name__, str(theirs.fileno()), key, *modules]
        subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        _servers[key] = own
    return _servers[key]
