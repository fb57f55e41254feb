"""Helpers for tests on an embedded AWS: roles with given policies, keys, functions, stacks, and error codes."""

import io
import itertools
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded, until

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
_ONCE = Config(retries={"total_max_attempts": 1})
_numbers = itertools.count(1)


class Account:
    """The account of a running embedded AWS. Names from `unique` separate the tests."""

    def __init__(self, local: Embedded) -> None:
        self.local = local

    def unique(self, stem: str) -> str:
        return f"{stem}-{next(_numbers)}"

    def client(self, service: str) -> Any:
        return self.local.client(service, config=_ONCE)

    def client_of(self, role_arn: str, service: str) -> Any:
        session: Any = self.local.assume(role_arn)
        return session.client(service, endpoint_url=self.local.url, config=_ONCE)

    def assume(self, **assumptions: Any) -> None:
        """Sets assumptions of the emulator for the rest of the test."""
        self.local.control("PUT", "assumptions", assumptions)

    def role(self, *statements: dict[str, Any], boundary: str = "", service: str = "") -> "Role":
        """Creates a role with the statements that the account, or only `service`, can assume."""
        name, iam = self.unique("role"), self.client("iam")
        extra = {"PermissionsBoundary": boundary} if boundary else {}
        trusted = trust({"Service": service} if service else {"AWS": ROOT})
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted, **extra)["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(*statements or (allow("sts:*"),)))
        return Role(self, name, arn)

    def key(self, *statements: dict[str, Any], **members: Any) -> str:
        """Creates a key whose policy delegates to the account and also has `statements`. Returns its ARN."""
        root = {"Principal": {"AWS": ROOT}} | allow("kms:*")
        made = self.client("kms").create_key(Policy=policy(root, *statements), **members)
        return str(made["KeyMetadata"]["Arn"])

    def function(self, source: str, role_arn: str = "", **members: Any) -> str:
        """Creates a function from the module `source`, by default with a role without permissions. Returns its ARN."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("app.py", source)
        made = self.client("lambda").create_function(
            FunctionName=self.unique("function"),
            Runtime="python3.13",
            Handler="app.lambda_handler",
            Role=role_arn or self.role().arn,
            Code={"ZipFile": packed.getvalue()},
            **members,
        )
        return str(made["FunctionArn"])

    def deploy(self, resources: dict[str, Any]) -> None:
        """Creates a stack. Raises AssertionError if the creation fails."""
        cloudformation, name = self.client("cloudformation"), self.unique("stack")
        body = json.dumps({"Resources": resources})
        cloudformation.create_stack(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"])

        def settled() -> str:
            found = str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
            return found if not found.endswith("IN_PROGRESS") else ""

        if until(settled, "the stack") != "CREATE_COMPLETE":
            events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
            raise AssertionError([event.get("ResourceStatusReason") for event in events])


class Role:
    """A role of the account."""

    def __init__(self, account: Account, name: str, arn: str) -> None:
        self.account, self.name, self.arn = account, name, arn

    def client(self, service: str) -> Any:
        return self.account.client_of(self.arn, service)


def allow(action: str | list[str], resource: str = "*", /, **condition: Any) -> dict[str, Any]:
    extra = {"Condition": condition} if condition else {}
    return {"Effect": "Allow", "Action": action, "Resource": resource, **extra}


def deny(action: str, resource: str = "*", /, **condition: Any) -> dict[str, Any]:
    return allow(action, resource, **condition) | {"Effect": "Deny"}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal: Any) -> str:
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


def error_code(call: Callable[..., Any], **members: Any) -> str:
    """Returns the error code of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(**members)
    return str(caught.value.response["Error"]["Code"])
