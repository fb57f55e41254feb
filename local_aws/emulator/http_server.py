"""Serves an ASGI application to clients on the same machine, with uvicorn and the parser of httptools.

Hypercorn takes about twice the CPU time for a request: as much as MiniStack itself.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local_aws.emulator.asgi import App

ABORT = "local_aws.abort"  # the extension in a scope that drops the connection, for which ASGI has nothing

_GRACE_SECONDS = 0.2


class _Protocol(HttpToolsProtocol):
    """Adds the extension to the scope of each request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # uvicorn sends the head and the body of a response separately, and asyncio does not set this for such a listener.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    def on_headers_complete(self) -> None:
        self.scope["extensions"] = {ABORT: self._abort}  # type: ignore[dict-item]
        super().on_headers_complete()

    def _abort(self) -> None:
        self.transport.abort()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the program."""
        yield


async def serve(app: App, listener: socket.socket, shutdown_trigger: Callable[[], Awaitable[object]]) -> None:
    """Serves on an open socket until `shutdown_trigger` returns, then gives running requests a moment to end."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,  # MiniStack sends one
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE_SECONDS,  # type: ignore[arg-type]  # passed to asyncio.wait_for
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    trigger = asyncio.ensure_future(shutdown_trigger())
    await asyncio.wait((serving, trigger), return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    try:
        await serving
    finally:
        trigger.cancel()
