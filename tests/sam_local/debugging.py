"""A client for the Debug Adapter Protocol with what a breakpoint needs.

https://microsoft.github.io/debug-adapter-protocol/specification
"""

import contextlib
import itertools
import json
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from local_aws.tools.embedded_aws import REPOSITORY, until
from tests.contract.documented_commands import words
from tests.sam_local.invoking import WITHOUT_CREDENTIALS, Answer, free_port

HANDLER = REPOSITORY / "functions/list_grants/app.py"
_MAPPED = {HANDLER.parent: "/var/task", REPOSITORY / "layers/latchkey": "/opt/python"}
type Message = dict[str, Any]


@dataclass(frozen=True)
class Stopped:
    """Where a function stopped, the value of an expression there, and the response after it continued."""

    path: str
    line: int
    value: str
    answer: Answer


def stop_at(line: int, expression: str) -> Stopped:
    """Runs the documented command, attaches like an editor, and stops the handler at a line."""
    port = free_port()
    typed = [word.replace("5890", str(port)) for word in words("sam local invoke ListGrantsFunction")]
    process = subprocess.Popen(
        typed, cwd=REPOSITORY, env=WITHOUT_CREDENTIALS, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        with Debugger(port) as debugger:
            mappings = [{"localRoot": str(local), "remoteRoot": remote} for local, remote in _MAPPED.items()]
            debugger.ask("attach", pathMappings=mappings, justMyCode=False)
            debugger.event("initialized")
            debugger.answer("setBreakpoints", source={"path": str(HANDLER)}, breakpoints=[{"line": line}])
            debugger.answer("configurationDone")
            thread = debugger.event("stopped")["threadId"]
            frame = debugger.answer("stackTrace", threadId=thread)["stackFrames"][0]
            value = debugger.answer("evaluate", expression=expression, frameId=frame["id"])["result"]
            debugger.answer("continue", threadId=thread)
            out, _ = process.communicate(timeout=120)
    except BaseException:
        process.send_signal(signal.SIGINT)  # so that sam removes its container
        raise
    return Stopped(frame["source"]["path"], frame["line"], value, json.loads(out.splitlines()[-1]))


class Debugger:
    """A debugger that is attached to debugpy on a local port."""

    def __init__(self, port: int) -> None:
        self._port, self._numbers = port, itertools.count(1)
        self._seen: list[Message] = []

    def __enter__(self) -> Self:
        until(self._initialize, "debugpy", 120)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, command: str, **arguments: Any) -> int:
        """Sends a request and returns its number."""
        number = next(self._numbers)
        content = json.dumps({"seq": number, "type": "request", "command": command, "arguments": arguments}).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(content), content))
        return number

    def answer(self, command: str, **arguments: Any) -> Message:
        """Sends a request and returns the body of its successful response."""
        number = self.ask(command, **arguments)
        response = self._wait(lambda message: message.get("request_seq") == number)
        assert response["success"], response
        body: Message = response.get("body", {})
        return body

    def event(self, name: str) -> Message:
        """Returns the body of the next event with this name."""
        body: Message = self._wait(lambda message: message.get("event") == name).get("body", {})
        return body

    def _initialize(self) -> bool:
        """Returns whether debugpy accepts connections. Before, the proxy of Docker accepts and closes them."""
        with contextlib.suppress(OSError, EOFError):
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
            self._file = self._socket.makefile("rb")
            self.answer("initialize", adapterID="tests", pathFormat="path")
            return True
        return False

    def _wait(self, wanted: Callable[[Message], bool]) -> Message:
        while True:
            for message in self._seen:
                if wanted(message):
                    self._seen.remove(message)
                    return message
            self._seen.append(self._read())

    def _read(self) -> Message:
        size = 0
        while line := self._file.readline().strip():
            name, _, value = line.partition(b":")
            size = int(value) if name == b"Content-Length" else size
        if not size:
            raise EOFError
        message: Message = json.loads(self._file.read(size))
        return message
