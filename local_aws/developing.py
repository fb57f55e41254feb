"""What `sam local` finds while `make local` runs: the endpoint, and what the deployed functions are told."""

import asyncio
import contextlib
import json
import shutil
from ipaddress import ip_network
from typing import Any

import boto3
from ministack.core import iam_evaluator

from local_aws.embedded import REPOSITORY
from local_aws.gaps.patching import Around, wrap
from local_aws.runtime_image import ARCHITECTURE

WRITTEN = REPOSITORY / ".aws-sam" / "written-by-make-local"
HOST = "host.docker.internal"
_SAMS_OWN_KEY = "defaultkey"


def admit_sam() -> None:
    """A developer without credentials is root: sam gives the containers a key of its own then.

    https://github.com/aws/aws-sam-cli/blob/develop/samcli/local/lambdafn/env_vars.py
    """
    wrap(iam_evaluator, "is_root_access_key", _or_sams_own)


def tell_sam(endpoint: str, stack: str) -> None:
    """Writes the two files that samconfig.toml names; `endpoint` is what containers know as host.docker.internal."""
    inside = f"http://{HOST}:{endpoint.rpartition(':')[2]}"
    told = environments(endpoint, stack)
    WRITTEN.mkdir(parents=True, exist_ok=True)
    _write("parameters.yaml", {"Architecture": ARCHITECTURE, "EndpointUrl": inside})
    # The parameter declares the variable; sam resolves no conditions, so its value comes from here.
    _write("environment.json", {name: variables | {"AWS_ENDPOINT_URL": inside} for name, variables in told.items()})


def forget() -> None:
    """Without the files sam says that they are missing, and by their names who writes them."""
    shutil.rmtree(WRITTEN, ignore_errors=True)


def functions(endpoint: str, stack: str) -> dict[str, str]:
    """The deployed functions' names by their logical ids."""
    pages = boto3.client("cloudformation", endpoint_url=endpoint).get_paginator("list_stack_resources")
    resources = [r for page in pages.paginate(StackName=stack) for r in page["StackResourceSummaries"]]
    return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources if r["ResourceType"] == "AWS::Lambda::Function"}


def environments(endpoint: str, stack: str) -> dict[str, dict[str, str]]:
    """The environment of each deployed function by its logical id, as `sam local` takes it."""
    client: Any = boto3.client("lambda", endpoint_url=endpoint)
    told = {name: client.get_function_configuration(FunctionName=arn) for name, arn in functions(endpoint, stack).items()}
    return {name: configuration["Environment"]["Variables"] for name, configuration in told.items()}


async def admit_containers(listener_port: int) -> None:
    """Listens on Docker's bridge too, as soon as an engine runs; elsewhere than on Linux it forwards to this machine itself."""
    while not (address := await _bridge_address()):
        await asyncio.sleep(1)
    # A bridge that is no interface of this machine is inside Docker's own one.
    with contextlib.suppress(OSError):
        server = await asyncio.start_server(lambda r, w: _forward(r, w, listener_port), address, listener_port)
        await server.serve_forever()


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


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _or_sams_own(original: Around, access_key: str) -> bool:
    return access_key == _SAMS_OWN_KEY or bool(original(access_key))


def _write(name: str, document: object) -> None:
    (WRITTEN / name).write_text(json.dumps(document, indent=2) + "\n")
