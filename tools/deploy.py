"""Checks what a deployment to AWS needs, builds in a folder of its own, and deploys.

`make deploy ENV=dev` runs this script. It stops before the build if the environment, the Region, the credentials, a stack
parameter or the state of the stack would make the deployment fail. The build does not touch `.aws-sam/build`, which the tests
and `make local` use, and the parameters of the build are those of the deployment.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor

from latchkey_cli.trails import trails_of

ROOT = Path(__file__).parents[1]
# An update of a stack in one of these states fails: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
_DEAD = {
    "DELETE_FAILED": "delete the stack",
    "ROLLBACK_COMPLETE": "delete the stack",
    "ROLLBACK_FAILED": "delete the stack",
    "UPDATE_ROLLBACK_FAILED": "continue its rollback",
}
# A stack that has only a change set, which the next deployment replaces.
_EMPTY = "REVIEW_IN_PROGRESS"


class Refusal(Exception):
    """Why the deployment cannot succeed, and what to do about it."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks, builds and deploys.")
    parser.add_argument("environment", help="an environment of samconfig.toml")
    parser.add_argument("--architecture", help="processor of the functions, for build and deployment")
    arguments = parser.parse_args()
    try:
        deployment = _deployment(arguments.environment)
        parameters = _parameters(deployment) | ({"Architecture": arguments.architecture} if arguments.architecture else {})
        flawed = [*_flaws(_template_parameters(), parameters)]
        if flawed:
            raise Refusal("\n".join(flawed))
        _check_account(deployment, parameters)
    except Refusal as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 2
    return _run(arguments.environment, parameters)


def _deployment(environment: str) -> dict[str, Any]:
    """The parameters of the environment for `sam deploy`, with the global ones."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    if environment.startswith("local") or "deploy" not in config.get(environment, {}):
        raise Refusal(f"ENV={environment} is no environment of samconfig.toml that is deployed to AWS")
    tables: Mapping[str, Any] = config[environment]
    return {**tables.get("global", {}).get("parameters", {}), **tables["deploy"]["parameters"]}


def _parameters(deployment: Mapping[str, Any]) -> dict[str, str]:
    given = deployment.get("parameter_overrides", [])
    pairs = shlex.split(given) if isinstance(given, str) else given
    if unclear := [pair for pair in pairs if "=" not in pair]:
        raise Refusal(f"{', '.join(unclear)} has no value: write <name>=<value> in parameter_overrides in samconfig.toml")
    return dict(pair.split("=", 1) for pair in pairs)


def _template_parameters() -> dict[str, dict[str, Any]]:
    class Constructor(SafeConstructor):
        """Reads intrinsic functions as nothing, because the parameters have none."""

    Constructor.add_multi_constructor("!", lambda *_: None)
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Constructor
    parameters: dict[str, dict[str, Any]] = yaml.load((ROOT / "template.yaml").read_text())["Parameters"]
    return parameters


def _flaws(declared: Mapping[str, dict[str, Any]], parameters: Mapping[str, str]) -> Iterator[str]:
    """What CloudFormation would reject."""
    for name, value in parameters.items():
        allowed = declared.get(name)
        if allowed is None:
            yield f"{name} is no parameter of template.yaml: correct it in samconfig.toml"
        elif reason := _flaw(allowed, value):
            yield f"{name}={value} {reason}: correct it in samconfig.toml"
    for name in declared.keys() - parameters.keys():
        if "Default" not in declared[name]:
            yield f"{name} has no value: add it to parameter_overrides in samconfig.toml"


def _flaw(allowed: Mapping[str, Any], value: str) -> str | None:
    if "AllowedValues" in allowed and value not in map(str, allowed["AllowedValues"]):
        return f"is none of {', '.join(map(str, allowed['AllowedValues']))}"
    if allowed["Type"] == "Number":
        low, high = allowed.get("MinValue"), allowed.get("MaxValue")
        if not value.isdigit() or (low is not None and int(value) < low) or (high is not None and int(value) > high):
            return "is not a number in the bounds of the template"
    if not re.fullmatch(allowed.get("AllowedPattern", ".*"), value):
        return f"does not match the description: {allowed['Description']}"
    longest = allowed.get("MaxLength")
    return f"has more than {longest} characters" if longest is not None and len(value) > longest else None


def _check_account(deployment: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
    """Raises Refusal without a Region, without valid credentials, or if the stack cannot be updated now."""
    session = boto3.Session(profile_name=deployment.get("profile"))
    region = deployment.get("region") or session.region_name
    if not region:
        raise Refusal("no Region: set AWS_DEFAULT_REGION, or region in samconfig.toml")
    name = deployment["stack_name"]
    try:
        identity = session.client("sts", region_name=region).get_caller_identity()
        state = _state(session.client("cloudformation", region_name=region), name)
    except (BotoCoreError, ClientError) as error:
        raise Refusal(f"AWS rejects your credentials in {region}: {error}") from None
    if state in _DEAD or (state and state != _EMPTY and state.endswith("_IN_PROGRESS")):
        raise Refusal(f"the stack {name} in {region} is {state}: {_DEAD.get(state, 'wait until it is complete')}")
    print(f"{name} in account {identity['Account']} and Region {region}, as {identity['Arn']}")
    print(_trail_report(session.client("cloudtrail", region_name=region), region))
    print(
        f"Parameters: {' '.join(f'{name}={value}' for name, value in parameters.items()) or 'those of the template'}",
        flush=True,
    )


def _trail_report(cloudtrail: Any, region: str) -> str:
    """Whether a trail logs what Latchkey needs. Without one, the deployment goes on, because a trail can be added later."""
    try:
        return trails_of(cloudtrail).report(region)
    except (BotoCoreError, ClientError) as error:
        return f"Warning: it is unknown whether a trail logs the calls that start cleanups: {error}"


def _state(cloudformation: Any, name: str) -> str | None:
    """The status of the stack, or None if there is none."""
    try:
        status: str = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise
    return status


def _run(environment: str, parameters: Mapping[str, str]) -> int:
    folder = f".aws-sam/deploy/{environment}"
    overrides = ["--parameter-overrides", *_pairs(parameters)] if parameters else []
    own = ["--build-dir", f"{folder}/build", "--cache-dir", f"{folder}/cache"]
    for command in (
        ["sam", "build", "--config-env", environment, *own, *overrides],
        ["sam", "deploy", "--config-env", environment, "--template-file", f"{folder}/build/template.yaml", *overrides],
    ):
        done = subprocess.run(command, check=False, cwd=ROOT, env=os.environ)  # noqa: S603
        if done.returncode:
            return done.returncode
    return 0


def _pairs(parameters: Mapping[str, str]) -> list[str]:
    return [f"{name}={_quoted(value)}" for name, value in parameters.items()]


def _quoted(value: str) -> str:
    """The SAM CLI splits overrides at spaces that are not in quotation marks."""
    return f'"{value}"' if " " in value or not value else value


if __name__ == "__main__":
    sys.exit(main())
