"""One run of the embedded AWS: serve, furnish the account, deploy, and end with every child."""

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import boto3
from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.core import lambda_runtime

from local_aws import bridge, containers, developing, gaps, mediapackage, mediapackagev2
from local_aws.account import ACCOUNT, REGION, furnish
from local_aws.control import STACK, Control
from local_aws.faults import track_connections
from local_aws.invocations import follow_invocations
from local_aws.mediaconnect import MediaConnect
from local_aws.mediapackage import MediaPackage
from local_aws.mediapackage_vod import MediaPackageVod
from local_aws.mediapackagev2 import MediaPackageV2
from local_aws.mediatailor import MediaTailor
from local_aws.origin import Origin
from local_aws.rest_json import Service
from local_aws.role_secrets import RoleSecrets
from local_aws.samples import furnish_samples
from local_aws.server import Router
from local_aws.watching import watch

_REPOSITORY = Path(__file__).parent.parent
_ARTIFACTS = "latchkey-local-artifacts"


async def run(
    listener: socket.socket, host: str, endpoint: str, *, deploy: bool, develop: bool, exports: Mapping[str, str]
) -> int:
    """Serves until SIGINT or SIGTERM (exit status 0), or until serving or the deployment fails (1)."""
    ended = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    gaps.apply()
    track_connections()
    follow_invocations()
    mediatailor = MediaTailor()
    origin = Origin(mediatailor.locations, host)
    control = Control(origin, ACCOUNT, REGION)
    router = Router(control, mediatailor, *readers_through_roles(RoleSecrets(endpoint, control.calls), origin))
    server = asyncio.create_task(serve(router, _config(listener), shutdown_trigger=ended.wait))
    start = asyncio.create_task(_start(control, endpoint, exports, deploy=deploy, develop=develop))
    development = asyncio.create_task(_develop(start, router, endpoint)) if develop else None
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
    lambda_runtime.reset()  # ends the functions' worker processes
    with contextlib.suppress(Exception):
        await asyncio.wait_for(server, 2)
    if develop:
        developing.forget()  # at last, since a thread of the start may still have told sam
    return 1 if failures else 0


def readers_through_roles(secrets: RoleSecrets, origin: Origin) -> list[Service]:
    """The services whose models read secrets through roles that they are passed."""
    return [
        Service("mediapackage", MediaPackage(secrets, origin), mediapackage.REFUSAL),
        Service("mediapackage-vod", MediaPackageVod(secrets, origin), mediapackage.REFUSAL),
        Service("mediapackagev2", MediaPackageV2(secrets, origin), mediapackagev2.REFUSAL),
        Service("mediaconnect", MediaConnect(secrets)),
    ]


def _config(listener: socket.socket) -> Config:
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.2
    config.loglevel = "WARNING"
    config.include_date_header = False  # MiniStack sends one
    return config


async def _start(control: Control, endpoint: str, exports: Mapping[str, str], *, deploy: bool, develop: bool) -> None:
    await asyncio.to_thread(_furnish, endpoint, artifacts=deploy)
    control.calls.counts.clear()
    if deploy:
        await _deploy()
        control.calls.counts.clear()
    if develop:
        developing.admit_sam()
        await asyncio.to_thread(developing.tell_sam, endpoint, STACK)
        await asyncio.to_thread(furnish_samples, endpoint, STACK)
    control.ready = True
    for name, value in exports.items():
        print(f"export {name}={value}")
    print("local AWS ready", flush=True)
    if develop and (lacking := await asyncio.to_thread(containers.lacking)):
        print(lacking, flush=True)


async def _develop(start: "asyncio.Task[None]", router: Router, endpoint: str) -> None:
    """Beside the running stack: containers may come in, and what is changed is picked up."""
    await start
    port = int(endpoint.rpartition(":")[2])
    await asyncio.gather(bridge.admit_containers(router, port, _config), asyncio.to_thread(watch, endpoint, STACK))


def _furnish(endpoint: str, *, artifacts: bool) -> None:
    furnish(boto3.client("iam", endpoint_url=endpoint))
    if artifacts:
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=_ARTIFACTS)


async def _deploy() -> None:
    beside = Path(sys.executable).parent / "sam"
    sam = str(beside) if beside.exists() else shutil.which("sam")
    if sam is None:
        raise RuntimeError("sam is not installed; `make local` installs it")
    # sam looks for its configuration beside the template, which is beside the build.
    places = ("--template-file", ".aws-sam/build/template.yaml", "--config-file", str(_REPOSITORY / "samconfig.toml"))
    flags = ("--config-env", "local", "--no-confirm-changeset", "--no-fail-on-empty-changeset")
    command = (sam, "deploy", *places, *flags)
    process = await asyncio.create_subprocess_exec(*command, cwd=_REPOSITORY, stdout=sys.stderr, stderr=sys.stderr)
    try:
        if await process.wait():
            raise RuntimeError(f"the stack {STACK} could not be deployed; what sam said stands above")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
