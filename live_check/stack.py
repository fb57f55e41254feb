"""The stack of a run, and the account that it is in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from live_check.check import Clients
from live_check.leftovers import pauses
from live_check.names import PREFIX, TAG, Run, new_id

_TEMPLATE = Path(__file__).parent / "template.yaml"
_MEDIATAILOR = "mediatailor.amazonaws.com"


class RefusedError(Exception):
    """The check does not run in this account or as this caller. The message says why, and what to do."""


def identify(clients: Clients, region: str | None) -> Run:
    """Returns a new run of the caller. Raises RefusedError for the root user, and without a Region."""
    if not region:
        raise RefusedError("No Region is set. Set AWS_REGION, or choose a profile that has a Region.")
    caller = clients.get("sts").get_caller_identity()
    arn = str(caller["Arn"])
    if arn.endswith(":root"):
        raise RefusedError("The root user cannot run the check. Use a role with the policy in live_check/policy.json.")
    return Run(str(caller["Account"]), region, arn.split(":")[1], arn, new_id())


def boundary(clients: Clients, run: Run) -> str:
    """Returns the ARN of the managed policy that limits the roles of the stack, or an empty string if there is none.

    It is the policy of the caller, so that no role can do more than the person who creates it.
    """
    arn = f"arn:{run.partition}:iam::{run.account}:policy/{PREFIX}"
    try:
        clients.get("iam").get_policy(PolicyArn=arn)
    except ClientError:
        return ""
    return arn


def create(clients: Clients, run: Run, boundary_arn: str) -> None:
    """Starts the creation of the stack."""
    parameters = {
        "Prefix": run.prefix,
        "SecretPrefix": run.secret_prefix,
        "Runner": run.caller_arn,
        "BoundaryArn": boundary_arn,
    }
    clients.get("cloudformation").create_stack(
        StackName=run.prefix,
        TemplateBody=_TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Tags=[{"Key": TAG, "Value": run.prefix}],
        OnFailure="DELETE",
    )


def outputs(clients: Clients, run: Run, wait: Callable[[float], None]) -> dict[str, str]:
    """Waits for the stack and returns its outputs. Raises RefusedError if its creation fails."""
    cloudformation = clients.get("cloudformation")
    for pause in pauses():
        [stack] = cloudformation.describe_stacks(StackName=run.prefix)["Stacks"]
        if stack["StackStatus"] == "CREATE_COMPLETE":
            return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        if stack["StackStatus"] != "CREATE_IN_PROGRESS":
            raise RefusedError(f"The stack could not be created: {_reason(cloudformation, run.prefix)}")
        wait(pause)
    raise AssertionError("unreachable")


def _reason(cloudformation: Any, name: str) -> str:
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failures = [event for event in events if event["ResourceStatus"] == "CREATE_FAILED"]
    return str(failures[-1].get("ResourceStatusReason", "no reason")) if failures else "see its events in CloudFormation."


def let_mediatailor_read(clients: Clients, outputs: dict[str, str], account: str) -> None:
    """Attaches the resource policies of the tokens. UnreadableToken has none."""
    conditions: dict[str, dict[str, Any]] = {
        "Token": {},
        "SecondToken": {},
        "ConditionalToken": {"Condition": {"StringEquals": {"aws:SourceAccount": account}}},
    }
    for name, condition in conditions.items():
        arn = outputs[f"{name}Arn"]
        statement = {"Effect": "Allow", "Principal": {"Service": _MEDIATAILOR}, "Action": "secretsmanager:GetSecretValue"}
        policy = {"Version": "2012-10-17", "Statement": [statement | {"Resource": arn} | condition]}
        clients.get("secretsmanager").put_resource_policy(
            SecretId=arn, ResourcePolicy=json.dumps(policy), BlockPublicPolicy=True
        )
