"""The HTTP server of the emulator, with raw requests."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from local_aws.emulator.asgi import Message, Receive, Send, read_body
from local_aws.emulator.http_server import ABORT, serve

type Answer = Callable[[Message, bytes, Send], Awaitable[None]]
type Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


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


CLOSE = b"connection: close\r\n"


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        pytest.param(b"GET /a%20b?c=%20d HTTP/1.1\r\n@\r\n", b"GET /a b?c=%20d ", id="a path and a query"),
        pytest.param(b"POST / HTTP/1.1\r\n@content-length: 4\r\n\r\nbody", b"POST /? body", id="a length"),
        pytest.param(
            b"POST / HTTP/1.1\r\n@Transfer-Encoding: chunked\r\n\r\n3\r\nbod\r\n1;x=y\r\ny\r\n0\r\n\r\n",
            b"POST /? body",
            id="chunks",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\n@transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-checksum: a\r\n\r\n",
            b"POST /? body",
            id="chunks with a trailer",
        ),
        pytest.param(b"GET / HTTP/1.0\r\n@\r\n", b"GET /? ", id="HTTP/1.0"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_request_is_read_however_it_arrives(request_: bytes, answer: bytes, size: int) -> None:
    whole = request_.replace(b"@", CLOSE)
    parts = [whole[start : start + size] for start in range(0, len(whole), size)]

    received = _exchange(_echo, *parts)

    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == answer


def test_header_names_are_in_lower_case_and_repeated_headers_are_kept() -> None:
    app = _App(_echo)

    async def run() -> None:
        async with _served(app) as connect:
            reader, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\nX-One: 1\r\nx-one:  2 \r\nConnection: close\r\n\r\n")
            await reader.read()
            writer.close()

    asyncio.run(run())
    assert app.scopes[0]["headers"] == [(b"x-one", b"1"), (b"x-one", b"2"), (b"connection", b"close")]
    assert app.phases == ["lifespan.startup", "lifespan.shutdown"]


def test_requests_on_one_connection_are_answered_in_order() -> None:
    received = _exchange(_echo, b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\nconnection: close\r\n\r\n")

    assert [part.partition(b"HTTP")[0] for part in received.split(b"\r\n\r\n")[1:]] == [b"GET /1? ", b"GET /2? ", b"GET /3? "]


def test_a_client_that_waits_for_the_server_is_asked_for_the_body() -> None:
    async def run() -> bytes:
        async with _served(_App(_echo)) as connect:
            reader, writer = await connect()
            writer.write(b"PUT / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 4\r\nconnection: close\r\n\r\n")
            assert await reader.readexactly(len(CONTINUE)) == CONTINUE
            writer.write(b"body")
            received = await reader.read()
            writer.close()
            return received

    assert asyncio.run(run()).endswith(b"PUT /? body")


def test_a_response_without_a_length_is_sent_in_chunks() -> None:
    async def stream(_: Message, body: bytes, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one", b"", b"three"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    received = _exchange(stream, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")

    assert b"transfer-encoding: chunked\r\n" in received
    assert received.endswith(b"\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n")


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_a_response_that_has_no_body_is_sent_without_one(method: bytes, status: int) -> None:
    async def answer(_: Message, body: bytes, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"body"})

    received = _exchange(answer, method + b" / HTTP/1.1\r\nconnection: close\r\n\r\n")

    assert received.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "malformed",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n name: value\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nmany\r\n",
        b"GET /" + b"a" * 70_000,
    ],
)
def test_a_malformed_request_is_an_error(malformed: bytes) -> None:
    assert _exchange(_echo, malformed).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("started", [False, True])
def test_a_failure_of_the_application_ends_the_connection(started: bool) -> None:
    async def fail(_: Message, body: bytes, send: Send) -> None:
        if started:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
        raise RuntimeError("a failure")

    received = _exchange(fail, b"GET / HTTP/1.1\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 200 OK" if started else b"HTTP/1.1 500 Internal Server Error")
    assert received.endswith(b"\r\n\r\npart" if started else b"\r\n\r\n")


def test_the_application_can_drop_the_connection() -> None:
    async def drop(scope: Message, body: bytes, send: Send) -> None:
        scope["extensions"][ABORT]()

    assert _exchange(drop, b"GET / HTTP/1.1\r\n\r\n") == b""


def test_the_application_learns_that_the_client_is_gone() -> None:
    async def run() -> str:
        gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        class Waiting(_App):
            async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
                if scope["type"] == "lifespan":
                    await super().__call__(scope, receive, send)
                    return
                await read_body(receive)
                gone.set_result((await receive())["type"])

        async with _served(Waiting(_echo)) as connect:
            _, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await writer.drain()
            writer.close()
            return await asyncio.wait_for(gone, 5)

    assert asyncio.run(run()) == "http.disconnect"


def test_the_end_does_not_wait_for_a_request_that_hangs() -> None:
    async def hang(_: Message, body: bytes, send: Send) -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        async with _served(_App(hang)) as connect:
            reader, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await writer.drain()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()

    asyncio.run(run())
