"""An HTTP/1.1 server for an ASGI application, for clients on the same machine.

It has no TLS, WebSockets or time limits, and it reads a request completely before it calls the application. Hypercorn has
all this, and takes as much CPU time for a request as MiniStack itself.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

from local_aws.emulator.asgi import App, Message

ABORT = "local_aws.abort"  # the extension in a scope that drops the connection, for which ASGI has nothing

_LOG = logging.getLogger(__name__)
_HEAD_BYTES = 65_536
_GRACE_SECONDS = 0.2
_BODILESS = (204, 304)
_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Headers = list[tuple[bytes, bytes]]


async def serve(app: App, listener: socket.socket, shutdown_trigger: Callable[[], Awaitable[object]]) -> None:
    """Serves on an open socket until `shutdown_trigger` returns, then gives running requests a moment to end."""
    connections: set[_Connection] = set()
    async with _lifespan(app):
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(app, connections), sock=listener)
        try:
            await shutdown_trigger()
        finally:
            server.close()
            running = [connection.running for connection in connections if connection.running]
            if running:
                await asyncio.wait(running, timeout=_GRACE_SECONDS)
            for connection in list(connections):
                connection.abort()


@contextlib.asynccontextmanager
async def _lifespan(app: App) -> AsyncIterator[None]:
    """Runs the lifespan protocol of an application, which may not support it."""
    messages: asyncio.Queue[Message] = asyncio.Queue()
    complete = {"startup": asyncio.Event(), "shutdown": asyncio.Event()}

    async def send(message: Message) -> None:
        phase = str(message["type"]).split(".")[1]
        complete[phase].set()

    async def wait_for(phase: str) -> None:
        messages.put_nowait({"type": f"lifespan.{phase}"})
        done = asyncio.create_task(complete[phase].wait())
        await asyncio.wait((done, task), return_when=asyncio.FIRST_COMPLETED, timeout=60)
        done.cancel()

    task = asyncio.ensure_future(app({"type": "lifespan", "asgi": {"version": "3.0"}}, messages.get, send))
    await wait_for("startup")
    try:
        yield
    finally:
        await wait_for("shutdown")
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task


@dataclass(frozen=True)
class _Head:
    """The request line and the headers of a request. `length` is None for a body in chunks."""

    method: str
    target: bytes
    version: str
    headers: Headers
    length: int | None
    keeps_alive: bool
    expects_continue: bool


def _parse(text: bytes) -> _Head:
    """Raises ValueError for a malformed request."""
    line, *lines = text.split(b"\r\n")
    method, target, version = line.split(b" ")
    if not version.startswith(b"HTTP/1."):
        raise ValueError("not HTTP/1")
    headers: Headers = []
    length: int | None = 0
    keeps_alive, expects_continue = version != b"HTTP/1.0", False
    for one in lines:
        name, colon, value = one.partition(b":")
        if not colon or not name or name != name.strip():
            raise ValueError("a malformed header")
        name, value = name.lower(), value.strip()
        headers.append((name, value))
        match name:
            case b"content-length" if length is not None:
                length = int(value)
            case b"transfer-encoding" if value.lower() == b"chunked":
                length = None
            case b"connection":
                keeps_alive = keeps_alive and value.lower() != b"close"
            case b"expect":
                expects_continue = value.lower() == b"100-continue"
    if length is not None and length < 0:
        raise ValueError("a negative length")
    return _Head(method.decode("ascii"), target, version[5:].decode("ascii"), headers, length, keeps_alive, expects_continue)


class _Connection(asyncio.Protocol):
    """One connection, which handles one request after the other."""

    def __init__(self, app: App, connections: "set[_Connection]") -> None:
        self._app, self._connections = app, connections
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._chunks: list[bytes] = []
        self._closed = asyncio.Event()
        self.running: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._client = tuple(transport.get_extra_info("peername")[:2])
        self._server = tuple(transport.get_extra_info("sockname")[:2])
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()
        self._connections.discard(self)

    def abort(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self.running is None:
            self._advance()

    def _advance(self) -> None:
        """Starts the next request if it is complete."""
        try:
            if self._head is None:
                end = self._buffer.find(b"\r\n\r\n")
                if end < 0:
                    if len(self._buffer) > _HEAD_BYTES:
                        raise ValueError("too many headers")
                    return
                self._head = _parse(bytes(self._buffer[:end]))
                del self._buffer[: end + 4]
                if self._head.expects_continue and not self._buffer:
                    self._transport.write(_CONTINUE)
            body = self._take_body(self._head.length)
        except ValueError:
            self._transport.write(_LINES[400] + b"content-length: 0\r\nconnection: close\r\n\r\n")
            self._transport.close()
            return
        if body is not None:
            head, self._head = self._head, None
            self.running = asyncio.get_running_loop().create_task(self._answer(head, body))

    def _take_body(self, length: int | None) -> bytes | None:
        """Removes the body from the buffer; None until it is complete."""
        if length is None:
            return self._take_chunks()
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _take_chunks(self) -> bytes | None:
        while (end := self._buffer.find(b"\r\n")) >= 0:
            size = int(self._buffer[:end].partition(b";")[0], 16)
            if len(self._buffer) < end + 2 + size + 2:
                return None
            if size == 0:
                # Trailers, which end with an empty line, are ignored.
                last = self._buffer.find(b"\r\n\r\n", end)
                if last < 0:
                    return None
                del self._buffer[: last + 4]
                body, self._chunks = b"".join(self._chunks), []
                return body
            self._chunks.append(bytes(self._buffer[end + 2 : end + 2 + size]))
            del self._buffer[: end + 2 + size + 2]
        return None

    async def _answer(self, head: _Head, body: bytes) -> None:
        """Calls the application for one request, and then starts the next one."""
        response = _Response(self._transport, head)
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if pending:
                return pending.pop()
            await self._closed.wait()
            return {"type": "http.disconnect"}

        keeps_alive = head.keeps_alive
        try:
            await self._app(self._scope(head), receive, response.send)
        except Exception:
            _LOG.exception("%s %s failed", head.method, head.target.decode("latin-1").partition("?")[0])
        if not response.complete:
            keeps_alive = False
            if not response.started and not self._transport.is_closing():
                self._transport.write(_LINES[500] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.running = None
        if not keeps_alive:
            self._transport.close()
        elif self._buffer:
            self._advance()

    def _scope(self, head: _Head) -> Message:
        raw_path, _, query = head.target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": head.version,
            "method": head.method,
            "scheme": "http",
            "path": unquote(raw_path.decode("ascii")),
            "raw_path": raw_path,
            "root_path": "",
            "query_string": query,
            "headers": head.headers,
            "client": self._client,
            "server": self._server,
            "extensions": {ABORT: self._transport.abort},
        }


class _Response:
    """Writes the messages of an application. A response without a length is sent in chunks."""

    def __init__(self, transport: asyncio.Transport, head: _Head) -> None:
        self._transport, self._request = transport, head
        self._head = b""
        self._chunked = self._bodiless = False
        self.started = self.complete = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start(message["status"], list(message.get("headers", ())))
        elif message["type"] == "http.response.body":
            self._body(message.get("body", b""), bool(message.get("more_body")))

    def _start(self, status: int, headers: Headers) -> None:
        self._bodiless = self._request.method == "HEAD" or status in _BODILESS
        self._chunked = not self._bodiless and not any(name.lower() == b"content-length" for name, _ in headers)
        if self._chunked:
            headers = [*headers, (b"transfer-encoding", b"chunked")]
        if not self._request.keeps_alive:
            headers.append((b"connection", b"close"))
        line = _LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode()
        self._head = b"".join((line, *(b"%b: %b\r\n" % pair for pair in headers), b"\r\n"))

    def _body(self, content: bytes, more: bool) -> None:
        """The head is sent with the first part of the body."""
        parts = [self._head]
        self._head, self.started = b"", True
        if content and self._chunked:
            parts += (b"%x\r\n" % len(content), content, b"\r\n")
        elif not self._bodiless:
            parts.append(content)
        if self._chunked and not more:
            parts.append(b"0\r\n\r\n")
        self.complete = not more
        if not self._transport.is_closing():
            self._transport.write(b"".join(parts))
