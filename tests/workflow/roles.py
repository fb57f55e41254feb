"""The roles of the deployed stack, with sessions like those of the functions."""

import json
from typing import Any

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.contract.artifacts import FUNCTIONS, STATE_MACHINES

STACK = "latchkey"
_MACHINES = {
    name: machine["DefinitionUri"].removeprefix("statemachine/").removesuffix(".asl.json")
    for name, machine in STATE_MACHINES.items()
}
# The documented name of each role by the logical id of its function, state machine or rule. A function can have the role of
# another one.
NAMES = (
    {name: function["CodeUri"].removeprefix("functions/") for name, function in FUNCTIONS.items() if "Role" not in function}
    | _MACHINES
    | {f"{name}{event}": f"rule of {_MACHINES[name]}" for name in _MACHINES for event in STATE_MACHINES[name].get("Events", {})}
)


class Role:
    """A role of the stack. Its trust policy is extended to the root user."""

    def __init__(self, aws: Embedded, name: str, role_name: str) -> None:
        self.name, self._aws, iam = name, aws, aws.client("iam")
        role = iam.get_role(RoleName=role_name)["Role"]
        self.role_name, self.arn = role["RoleName"], role["Arn"]
        root = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
        trust = role["AssumeRolePolicyDocument"]
        document = json.dumps(trust | {"Statement": [*trust["Statement"], root]})
        iam.update_assume_role_policy(RoleName=role_name, PolicyDocument=document)
        given = aws.client("sts").assume_role(RoleArn=self.arn, RoleSessionName="tests")["Credentials"]
        self._credentials = {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    def client(self, service: str) -> Any:
        return self._aws.client(service, **self._credentials)


def roles_of(aws: Embedded) -> dict[str, Role]:
    """Returns every role of the template by the name of its function or state machine."""
    resources = aws.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    made = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources if r["ResourceType"] == "AWS::IAM::Role"}
    assert set(made) == {f"{name}Role" for name in NAMES}
    return {name: Role(aws, name, made[f"{logical_id}Role"]) for logical_id, name in sorted(NAMES.items())}
