"""Docker's bridge: containers reach what Latchkey's functions call, and nothing that would run code on this machine."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from ipaddress import ip_network

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.core.router import detect_service

from local_aws.calls import Message, Receive, Send, call_of
from local_aws.server import Router

# Of JSON services the target decides; of some only what cannot make anything that runs.
_SERVICES = ("DynamoDB_20120810.", "TrentService.", "secretsmanager.")
_OPERATIONS = frozenset({"AWSEvents.PutEvents", "AWSStepFunctions.DescribeExecution", "AWSStepFunctions.StartExecution"})


async def admit_containers(router: Router, port: int, config: Callable[[socket.socket], Config]) -> None:
    """Serves on Docker's bridge too, as soon as an engine runs; elsewhere than on Linux it forwards to this machine itself."""
    while not (address := await _bridge_address()):
        await asyncio.sleep(1)
    # A bridge that is no interface of this machine is inside Docker's own one.
    with contextlib.suppress(OSError):
        listener = socket.create_server((address, port))
        await serve(Bridge(router), config(listener), shutdown_trigger=asyncio.Event().wait)


class Bridge:
    """An ASGI application in front of the router: containers are not this machine's user, though all know his keys."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http" and self._admits(scope):
            await self._router(scope, receive, send)
        elif scope["type"] == "http":
            await _refuse(send)

    def _admits(self, scope: Message) -> bool:
        """Is this a call of a service that a function uses?"""
        if scope["path"].startswith("/_") or (call := call_of(scope, b"")) is None:
            return False
        if call.service in self._router.models:
            return True
        if (scope["method"], scope["path"]) != ("POST", "/"):
            return False
        target = call.headers.get("x-amz-target", "")
        # MiniStack's own reading of the signature, since it is what decides there.
        if not target:
            return bool(detect_service("POST", "/", dict(call.headers), dict(call.query)) == "iam")
        return target in _OPERATIONS or target.startswith(_SERVICES)


async def _live(receive: Receive, send: Send) -> None:
    """The router's own lifespan is that of the other address."""
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


async def _refuse(send: Send) -> None:
    body = json.dumps({"__type": "AccessDeniedException", "message": "Containers reach only what Latchkey's functions call."})
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"application/x-amz-json-1.1")]})
    await send({"type": "http.response.body", "body": body.encode()})


async def _bridge_address() -> str:
    """This machine's address for containers, or "" while no engine runs; some engines tell the network alone."""
    with contextlib.suppress(FileNotFoundError):
        command = ("docker", "network", "inspect", "bridge")
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        told = json.loads((await process.communicate())[0] or b"[]")
        for network in (config for bridge in told for config in bridge["IPAM"]["Config"] or ()):
            return str(network.get("Gateway") or next(ip_network(network["Subnet"]).hosts()))
    return ""
