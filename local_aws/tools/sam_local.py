"""Files that `sam local` reads while `make local` runs: the endpoint and the environment of the deployed functions."""

import json
import shutil
from typing import Any

import boto3
from ministack.core import iam_evaluator

from local_aws.emulator.gaps.patching import Around, wrap
from local_aws.tools.embedded_aws import REPOSITORY
from local_aws.tools.runtime_image import ARCHITECTURE

SAM_FILES = REPOSITORY / ".aws-sam" / "written-by-make-local"
HOST = "host.docker.internal"
_SAM_ACCESS_KEY = "defaultkey"


def accept_sam_credentials() -> None:
    """Accepts the access key that sam passes to containers if the developer has no credentials, as that of the root user.

    https://github.com/aws/aws-sam-cli/blob/develop/samcli/local/lambdafn/env_vars.py
    """
    wrap(iam_evaluator, "is_root_access_key", _is_root_or_sam)


def write_files(endpoint: str, stack: str) -> None:
    """Writes the files that samconfig.toml refers to. Containers reach the port of `endpoint` at host.docker.internal."""
    inside = f"http://{HOST}:{endpoint.rpartition(':')[2]}"
    environments = function_environments(endpoint, stack)
    SAM_FILES.mkdir(parents=True, exist_ok=True)
    _write("machine.yaml", {"Architecture": ARCHITECTURE})
    _write("parameters.yaml", {"Architecture": ARCHITECTURE, "EndpointUrl": inside})
    # The template declares the variable in a condition, which sam does not resolve.
    _write("environment.json", {name: variables | {"AWS_ENDPOINT_URL": inside} for name, variables in environments.items()})


def delete_files() -> None:
    """Deletes the files. The error message of sam then has their path, which says that `make local` writes them."""
    shutil.rmtree(SAM_FILES, ignore_errors=True)


def function_names(endpoint: str, stack: str) -> dict[str, str]:
    """Returns the names of the deployed functions by logical id."""
    pages = boto3.client("cloudformation", endpoint_url=endpoint).get_paginator("list_stack_resources")
    resources = [r for page in pages.paginate(StackName=stack) for r in page["StackResourceSummaries"]]
    return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources if r["ResourceType"] == "AWS::Lambda::Function"}


def function_environments(endpoint: str, stack: str) -> dict[str, dict[str, str]]:
    """Returns the environment variables of the deployed functions by logical id, in the format of `sam local --env-vars`."""
    client: Any = boto3.client("lambda", endpoint_url=endpoint)
    names = function_names(endpoint, stack)
    configurations = {name: client.get_function_configuration(FunctionName=arn) for name, arn in names.items()}
    return {name: configuration["Environment"]["Variables"] for name, configuration in configurations.items()}


def _is_root_or_sam(original: Around, access_key: str) -> bool:
    return access_key == _SAM_ACCESS_KEY or bool(original(access_key))


def _write(name: str, document: object) -> None:
    """Writes a file at once, because sam can read it at any time."""
    new = SAM_FILES / f"{name}.new"
    new.write_text(json.dumps(document, indent=2) + "\n")
    new.replace(SAM_FILES / name)
