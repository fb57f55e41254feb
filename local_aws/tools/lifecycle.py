"""The life of one emulated AWS: serve, create the example roles, deploy, support development, and end all child processes."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

import boto3
from ministack.core import lambda_runtime

from local_aws.emulator.app import create_emulator
from local_aws.emulator.control import Control
from local_aws.emulator.gaps import cold_starts
from local_aws.emulator.http_server import serve
from local_aws.emulator.router import Router
from local_aws.tools import container_bridge, containers, deployment, hot_reload, sam_local
from local_aws.tools.embedded_aws import STACK
from local_aws.tools.example_roles import create_example_roles
from local_aws.tools.sample_accesses import create_sample_accesses
from local_aws.tools.sample_resources import create_sample_resources

# Modules whose import takes long and reads no variable. Neither they nor what they import may import latchkey.observability.
PRELOADED = ("latchkey.onboarding.check_request", "latchkey.onboarding.undo_onboarding", "latchkey.cleanup.clean_up_grants")
# What a first user can do, at the end of the output.
NEXT_COMMANDS = (
    "aws events put-events --entries file://events/requests/onboard-mediatailor.json",
    "TABLE=$(aws cloudformation describe-stacks --stack-name latchkey --output text"
    " --query \"Stacks[0].Outputs[?OutputKey=='AccessTableName'].OutputValue\")",
    "aws dynamodb query --table-name $TABLE --key-condition-expression 'kind = :kind'"
    """ --expression-attribute-values '{":kind": {"S": "request"}}'"""
    " --query 'Items[].[outcomeType.S, outcome.S]' --output text",
)
_NEXT = """
Then send a request, and read the outcomes of all requests:

{}

Or use the command line, which asks for a request, follows it, and shows the accesses:

.venv/bin/latchkey init mediatailor
.venv/bin/latchkey status

docs/develop.md says what else you can do."""


async def run(
    listener: socket.socket, endpoint: str, *, deploy: bool, develop: bool, samples: bool, exports: Mapping[str, str]
) -> int:
    """Serves until SIGINT or SIGTERM. Returns the exit status, which is 1 if serving or the deployment fails."""
    ended = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    cold_starts.preload(*PRELOADED)
    emulator = create_emulator(endpoint, STACK, request_id_of)
    server = asyncio.create_task(serve(emulator.router, listener, ended.wait))
    work = _start(emulator.control, endpoint, exports, deploy=deploy, develop=develop, samples=samples)
    start = asyncio.create_task(work)
    development = asyncio.create_task(_develop(start, emulator.router, endpoint)) if develop else None
    stop = asyncio.create_task(ended.wait())
    await asyncio.wait((server, start, stop), return_when=asyncio.FIRST_COMPLETED)
    if start.done() and start.exception() is None:
        await asyncio.wait((server, stop), return_when=asyncio.FIRST_COMPLETED)
    failures = [error for task in (start, server) if task.done() and (error := task.exception())]
    for error in failures:
        print(f"local AWS failed: {error}", file=sys.stderr)
    start.cancel()
    ended.set()
    if development:
        development.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await start
    lambda_runtime.reset()  # ends the worker processes of the functions
    with contextlib.suppress(Exception):
        await asyncio.wait_for(server, 2)
    if develop:
        sam_local.delete_files()  # last, because a thread of the start can still write them
    return 1 if failures else 0


def request_id_of(event: Any) -> str | None:
    """Returns the id of the Latchkey request in a function's event, in its `request`, or in the `detail` of a bus event."""
    found = event if isinstance(event, dict) else {}
    holders = [found, found.get("request"), found.get("detail")]
    ids = [holder["requestId"] for holder in holders if isinstance(holder, dict) and "requestId" in holder]
    return str(ids[0]) if ids else None


async def _start(
    control: Control, endpoint: str, exports: Mapping[str, str], *, deploy: bool, develop: bool, samples: bool
) -> None:
    await asyncio.to_thread(create_example_roles, boto3.client("iam", endpoint_url=endpoint))
    control.calls.clear()
    if deploy:
        print(f"Deploying the stack {STACK}", flush=True)
        await asyncio.to_thread(deployment.deploy, endpoint)
        control.calls.clear()
    if develop:
        sam_local.accept_sam_credentials()
        await asyncio.to_thread(sam_local.write_files, endpoint, STACK)
    if samples:
        await asyncio.to_thread(create_sample_accesses, endpoint, STACK)
        await asyncio.to_thread(create_sample_resources, endpoint)
    missing = await asyncio.to_thread(containers.missing_for_sam_local) if develop else None
    control.ready = True
    print(announcement(exports, missing, develop=develop), flush=True)


def announcement(exports: Mapping[str, str], missing: object, *, develop: bool) -> str:
    """What is printed once the account is ready. `missing` is what SAM CLI needs and does not have."""
    lines = ["local AWS ready", *([str(missing)] if missing else [])]
    if develop:
        lines.append("The account is lost when this process ends. In another terminal, paste:\n")
    lines += [f"export {name}={value}" for name, value in exports.items()]
    if develop:
        lines.append(_NEXT.format("\n".join(NEXT_COMMANDS)))
    return "\n".join(lines)


async def _develop(start: "asyncio.Task[None]", router: Router, endpoint: str) -> None:
    """Once the stack is deployed, serves containers and reloads changed code."""
    await start
    port = int(endpoint.rpartition(":")[2])
    await asyncio.gather(container_bridge.serve_containers(router, port), asyncio.to_thread(hot_reload.watch, endpoint, STACK))
