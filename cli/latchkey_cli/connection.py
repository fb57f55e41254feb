"""The AWS account of a command: its clients, and the stack by its name."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from latchkey.aws.clients import botocore_session
from latchkey.place import Place
from latchkey.registry.audit_records import AuditRecords
from latchkey.registry.registry import Registry
from latchkey.registry.table import Table
from latchkey.tags import DEFAULT_TENANT
from latchkey_cli.problems import CliProblem, is_of_this_machine

_RETRIES: Any = {"mode": "standard", "total_max_attempts": 3}
_CONFIG = Config(retries=_RETRIES, connect_timeout=3, read_timeout=60, user_agent_extra="latchkey-cli")
# The root user of the embedded AWS: whoever passes only its address needs nothing else.
_EMBEDDED = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
_EMBEDDED_REGION = "us-east-1"


@cache
def _models() -> Any:
    """The models of the services, which are read once, however many connections there are."""
    return botocore_session().get_component("data_loader")


@dataclass(frozen=True)
class Options:
    """Where to look: what the options of every command say."""

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    stack: str = "latchkey"
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True)
class Stack:
    """A deployed stack: its outputs, its parameters, its status, and its physical resources by logical ID."""

    name: str
    arn: str
    status: str
    outputs: dict[str, str]
    parameters: dict[str, str]
    resources: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        _, partition, _, region, account, _ = self.arn.split(":", 5)
        return Place(partition=partition, account=account, region=region)


class Connection:
    """Clients of one account and Region, created when they are needed."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._clients: dict[str, Any] = {}

    @cached_property
    def session(self) -> boto3.session.Session:
        """The session of the profile or, for the embedded AWS, with its own credentials."""
        given = self.options
        is_embedded = is_of_this_machine(self.endpoint_url or "") and given.profile is None
        has_own = any(name in os.environ for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"))
        keys: Any = _EMBEDDED if is_embedded and not has_own else {}
        botocore = botocore_session()
        botocore.register_component("data_loader", _models())
        if given.profile:
            botocore.set_config_variable("profile", given.profile)
        region = given.region or botocore.get_config_variable("region") or (_EMBEDDED_REGION if is_embedded else None)
        return boto3.session.Session(botocore_session=botocore, region_name=region, **keys)

    @property
    def endpoint_url(self) -> str | None:
        return self.options.endpoint_url or os.environ.get("AWS_ENDPOINT_URL")

    @property
    def is_embedded(self) -> bool:
        """Whether the account is an embedded AWS on this machine."""
        return is_of_this_machine(self.endpoint_url or "")

    def client(self, service: str) -> Any:
        """The client of a service. S3 has no domain names for buckets at another endpoint than that of AWS."""
        if service not in self._clients:
            paths = Config(s3={"addressing_style": "path"}) if self.endpoint_url else Config()
            make: Any = self.session.client  # one overload for each service
            url = self.options.endpoint_url
            self._clients[service] = make(service, endpoint_url=url, config=_CONFIG.merge(paths))
        return self._clients[service]

    @property
    def region(self) -> str:
        return str(self.client("sts").meta.region_name)

    @cached_property
    def stack(self) -> Stack:
        """The stack. Raises CliProblem if there is none with this name in the account and Region."""
        name = self.options.stack
        try:
            found = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise CliProblem(
                f"There is no stack {name} in {self.region} of account {self._account()}.",
                "Choose it with --stack, --region or --profile, or deploy it first with `make deploy`.",
            ) from None
        outputs = {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}
        parameters = {one["ParameterKey"]: one.get("ParameterValue", "") for one in found.get("Parameters", ())}
        return Stack(name, found["StackId"], found["StackStatus"], outputs, parameters)

    def _account(self) -> str:
        try:
            return str(self.client("sts").get_caller_identity()["Account"])
        except ClientError:
            return "these credentials"

    def output(self, name: str) -> str:
        """An output of the stack. Raises CliProblem if the stack is not one of Latchkey, or of an earlier version."""
        if name not in self.stack.outputs:
            raise CliProblem(
                f"The stack {self.stack.name} has no output {name}, so it is not a complete stack of this version of Latchkey.",
                "Choose the stack with --stack, or update it with `make deploy`.",
            )
        return self.stack.outputs[name]

    def resource(self, logical_id: str) -> str:
        """The physical ID of a resource of the stack."""
        given = {"StackName": self.stack.name, "LogicalResourceId": logical_id}
        try:
            found = self.client("cloudformation").describe_stack_resource(**given)["StackResourceDetail"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise CliProblem(
                f"The stack {self.stack.name} has no resource {logical_id}.",
                "Choose the stack with --stack, or update it with `make deploy`.",
            ) from None
        return str(found["PhysicalResourceId"])

    @cached_property
    def table(self) -> Table:
        return Table(self.client("dynamodb"), self.output("AccessTableName"))

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.table)

    @cached_property
    def audit(self) -> AuditRecords:
        return AuditRecords(self.client("dynamodb"), self.output("AuditTableName"))
