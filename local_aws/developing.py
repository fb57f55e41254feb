"""What `sam local` finds while `make local` runs: the endpoint, and what the deployed functions are told."""

import json
import shutil
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
    """Writes the files that samconfig.toml names; `endpoint` is what containers know as host.docker.internal."""
    inside = f"http://{HOST}:{endpoint.rpartition(':')[2]}"
    told = environments(endpoint, stack)
    WRITTEN.mkdir(parents=True, exist_ok=True)
    _write("machine.yaml", {"Architecture": ARCHITECTURE})
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


def _or_sams_own(original: Around, access_key: str) -> bool:
    return access_key == _SAMS_OWN_KEY or bool(original(access_key))


def _write(name: str, document: object) -> None:
    (WRITTEN / name).write_text(json.dumps(document, indent=2) + "\n")
