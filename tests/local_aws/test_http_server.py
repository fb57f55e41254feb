"""The HTTP server of the emulator, with raw requests."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

from local_aws.emulator.asgi import Message, Receive, Send, read_body
from local_aws.emulator.http_server import ABORT, serve

type Answer = Callable[[Message, bytes, Send], Awaitable[None]]
type Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(scope: Message, body: bytes, send: Send) -> None:
    content = b"%s %s?%s %s" % (scope["method"].encode(), scope["path"].encode(), scope["query_string"], body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]})
    await send({"type": "http.response.body", "body": content})


class _App:
    """Notes the phases of its lifespan, and answers each request with `answer`."""

    def __init__(self, answer: Answer) -> None:
        self._answer, self.phases = answer, list[str]()
        self.scopes: list[Message] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                self.phases.append((await receive())["type"])
                await send({"type": f"{self.phases[-1]}.complete"})
            return
        self.scopes.append(scope)
        await self._answer(scope, await read_body(receive), send)


@contextlib.asynccontextmanager
async def _served(app: _App) -> AsyncIterator[Callable[[], Awaitable[Stream]]]:
    """Serves an application; the value opens a connection."""
    ended = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = asyncio.create_task(serve(app, listener, ended.wait))
        try:
            yield lambda: asyncio.open_connection("127.0.0.1", port)
        finally:
            ended.set()
            await asyncio.wait_for(server, 5)


def _exchange(answer: Answer, *parts: bytes) -> bytes:
    """Sends the parts of a request one after the other, and returns everything that is received until the end."""

    async def run() -> bytes:
        async with _served(_App(answer)) as connect:
            reader, writer = await connect()
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            received = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            return received

    return asyncio.run(run())


def test_requests_on_one_connection_are_answered_at_once_and_in_order() -> None:
    received = _exchange(_echo, b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\nconnection: close\r\n\r\n")

    assert [part.partition(b"HTTP")[0] for part in received.split(b"\r\n\r\n")[1:]] == [b"GET /1? ", b"GET /2? ", b"GET /3? "]


def test_no_connection_waits_for_acknowledgments() -> None:
    """Otherwise each response would take 40 ms, because its head and its body are sent separately."""
    options = []

    async def note(scope: Message, body: bytes, send: Send) -> None:
        connection = scope["extensions"][ABORT].__self__.transport.get_extra_info("socket")
        options.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await _echo(scope, body, send)

    _exchange(note, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")

    assert options == [1]


def test_the_application_is_started_and_stopped() -> None:
    app = _App(_echo)

    async def run() -> None:
        async with _served(app):
            pass

    asyncio.run(run())
    assert app.phases == ["lifespan.startup", "lifespan.shutdown"]


def test_the_application_can_drop_the_connection() -> None:
    async def drop(scope: Message, body: bytes, send: Send) -> None:
        scope["extensions"][ABORT]()

    assert _exchange(drop, b"GET / HTTP/1.1\r\n\r\n") == b""


def test_the_end_does_not_wait_for_a_request_that_hangs() -> None:
    async def hang(_: Message, body: bytes, send: Send) -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        async with _served(_App(hang)) as connect:
            reader, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await writer.drain()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.close()

    asyncio.run(run())
