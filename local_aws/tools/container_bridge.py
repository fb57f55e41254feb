"""Access for containers over the bridge network of Docker, limited to the API calls that Latchkey's functions make."""

import asyncio
import contextlib
import json
import socket
from ipaddress import ip_network

from ministack.core.router import detect_service

from local_aws.emulator.api_calls import call_of
from local_aws.emulator.asgi import Message, Receive, Send
from local_aws.emulator.http_server import serve
from local_aws.emulator.router import Router
from local_aws.tools.embedded_aws import STACK

# Allowed values of X-Amz-Target. Of services that can run code on this machine, only operations that do not create such code.
_SERVICES = ("DynamoDB_20120810.", "TrentService.", "secretsmanager.")
_OPERATIONS = frozenset(
    {"AWSEvents.PutEvents", "AWSStepFunctions.DescribeExecution", "AWSStepFunctions.StartExecution", "AmazonSSM.GetParameter"}
)
# Objects of other buckets can be code, which functions outside of containers run.
_DATA_BUCKET = f"/{STACK}-databucket-"


async def serve_containers(router: Router, port: int) -> None:
    """Serves on the bridge network once a Docker engine runs. On macOS, Docker forwards to 127.0.0.1 instead."""
    while not (address := await _bridge_address()):
        await asyncio.sleep(1)
    # If the bridge is not an interface of this machine, it is in the virtual machine of Docker.
    with contextlib.suppress(OSError):
        listener = socket.create_server((address, port))
        await serve(ContainerBridge(router), listener, asyncio.Event().wait)


class ContainerBridge:
    """An ASGI application that lets only certain calls through to the router.

    The credentials of the root user are public, so any container could otherwise run code on this machine as its user.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _complete_lifespan(receive, send)
        elif scope["type"] == "http" and self._allows(scope):
            await self._router(scope, receive, send)
        elif scope["type"] == "http":
            await _deny(send)

    def _allows(self, scope: Message) -> bool:
        """Returns whether the functions make calls of this kind."""
        if scope["path"].startswith("/_") or (call := call_of(scope, b"")) is None:
            return False
        if call.service in self._router.models:
            return True
        detected = detect_service(scope["method"], scope["path"], dict(call.headers), dict(call.query))
        if call.service == "s3":
            return detected == "s3" and scope["method"] in ("GET", "PUT") and scope["path"].startswith(_DATA_BUCKET)
        if (scope["method"], scope["path"]) != ("POST", "/"):
            return False
        target = call.headers.get("x-amz-target", "")
        # MiniStack chooses the service from the signature, so its own function is used here.
        if not target:
            return bool(detected == "iam")
        return target in _OPERATIONS or target.startswith(_SERVICES)


async def _complete_lifespan(receive: Receive, send: Send) -> None:
    """Completes the lifespan protocol. The router has its own at the other address."""
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


async def _deny(send: Send) -> None:
    body = json.dumps(
        {"__type": "AccessDeniedException", "message": "Containers can only make the API calls that Latchkey's functions make."}
    )
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"application/x-amz-json-1.1")]})
    await send({"type": "http.response.body", "body": body.encode()})


async def _bridge_address() -> str:
    """Returns the address of this machine in the bridge network, or "" while no engine runs."""
    with contextlib.suppress(FileNotFoundError):
        command = ("docker", "network", "inspect", "bridge")
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        bridges = json.loads((await process.communicate())[0] or b"[]")
        for network in (config for bridge in bridges for config in bridge["IPAM"]["Config"] or ()):
            # Some engines report no gateway.
            return str(network.get("Gateway") or next(ip_network(network["Subnet"]).hosts()))
    return ""
