"""The templates as CloudFormation deploys them: SAM's resources are translated, and references are resolved.

AWS SAM's own translator and parser do the translation. Nothing is deployed and no AWS service is called.
"""

from __future__ import annotations

import copy
import logging
import os
import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

# The account and the Region of the golden policies in tests/policies.
PARTITION, ACCOUNT, REGION = "aws", "111122223333", "eu-west-1"
STACK = "latchkey"
_STACK_ID = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/6d1f7a30-cb3e-11f0-9c2b-0affd2f0a1c3"
_MANAGED = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)  # it warns that nobody publishes its metrics
# CloudFormation appends such a suffix to the names that it generates.
_SUFFIX = "1A2B3C4D5E6F"
_ARNS = {
    "AWS::CloudFormation::Stack": "cloudformation:{region}:{account}:stack/{name}",
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{name}",
    "AWS::Events::EventBus": "events:{region}:{account}:event-bus/{name}",
    "AWS::IAM::ManagedPolicy": "iam::{account}:policy/{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::KMS::Key": "kms:{region}:{account}:key/{name}",
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::Lambda::LayerVersion": "lambda:{region}:{account}:layer:{name}:1",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{name}:*",
    "AWS::SecretsManager::Secret": "secretsmanager:{region}:{account}:secret:{name}-1A2B3C",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{name}",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::StepFunctions::StateMachine": "states:{region}:{account}:stateMachine:{name}",
}
# Types whose Ref is an ARN: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
_REF_IS_ARN = {"AWS::IAM::ManagedPolicy", "AWS::Lambda::LayerVersion", "AWS::StepFunctions::StateMachine"}


class _LambdaPolicy:
    """The one managed policy that SAM looks up by name."""

    def load(self) -> dict[str, str]:
        return {"AWSLambdaBasicExecutionRole": _MANAGED}


@cache
def _parse(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml_parse(text)
    return parsed


@cache
def _translate(text: str) -> dict[str, Any]:
    """A template with the resources that SAM creates for its own."""
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    source = copy.deepcopy(_parse(text))
    for resource in source["Resources"].values():
        properties = resource.get("Properties", {})
        for name in {"CodeUri", "ContentUri", "DefinitionUri"} & set(properties):
            properties[name] = "s3://bucket/key"
        if resource["Type"] == "AWS::Serverless::Application":
            properties["Location"] = "https://s3.amazonaws.com/bucket/key"
    translated: dict[str, Any] = transform(source, {}, _LambdaPolicy())
    return translated


# Values with which the template has its optional parts.
_OPTIONAL = {
    "CentralBusArn": f"arn:{PARTITION}:events:{REGION}:444455556666:event-bus/latchkey-central",
    "OrganizationId": "o-exampleorgid",
}


@dataclass(frozen=True)
class Template:
    """A template with the default of each parameter, or with other values."""

    path: Path
    parameters: dict[str, Any] = field(default_factory=dict)
    role_name: int = 0  # the least length of the names of roles

    @cached_property
    def source(self) -> dict[str, Any]:
        """The template as it is written, with intrinsic functions in their long form."""
        return _parse(self.path.read_text(encoding="utf-8"))

    @cached_property
    def _translated(self) -> dict[str, Any]:
        return _translate(self.path.read_text(encoding="utf-8"))

    @cached_property
    def values(self) -> dict[str, Any]:
        """The value of each parameter."""
        return {name: p.get("Default", "") for name, p in self.source["Parameters"].items()} | self.parameters

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """The resolved properties of every resource of a type, by logical ID."""
        found = self._translated["Resources"].items()
        return {name: self.resolve(r.get("Properties", {})) for name, r in found if r["Type"] == kind}

    def arn(self, logical_id: str) -> str:
        """The ARN of a resource."""
        resource = self._translated["Resources"][logical_id]
        name = self.name(logical_id)
        if resource["Type"] == "AWS::Events::Rule":
            bus = self.resolve(resource["Properties"].get("EventBusName"))
            return f"arn:{PARTITION}:events:{REGION}:{ACCOUNT}:rule/{f'{bus}/' if bus else ''}{name}"
        return f"arn:{PARTITION}:" + _ARNS[resource["Type"]].format(region=REGION, account=ACCOUNT, name=name)

    def name(self, logical_id: str) -> str:
        """The physical name of a resource. The role of a function has the name that it has in the golden policies."""
        resource = self._translated["Resources"][logical_id]
        properties = resource.get("Properties", {})
        for member in ("Name", "LogGroupName"):
            if member in properties:
                return str(self.resolve(properties[member]))
        if resource["Type"] == "AWS::IAM::Role" and logical_id.endswith("FunctionRole"):
            return f"{STACK}-{verb(logical_id)}".ljust(self.role_name, "-")
        return f"{STACK}-{logical_id}-{_SUFFIX}"

    def resolve(self, value: Any) -> Any:
        """A value without intrinsic functions. Members whose value is AWS::NoValue are left out."""
        if isinstance(value, list):
            return [resolved for item in value if (resolved := self.resolve(item)) is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(function, argument)] = value.items()
            if function == "Ref":
                return self._reference(argument)
            if function.startswith("Fn::"):
                return self._call(function.removeprefix("Fn::"), argument)
        return {name: resolved for name, item in value.items() if (resolved := self.resolve(item)) is not None}

    def _call(self, function: str, argument: Any) -> Any:
        match function:
            case "GetAtt":
                logical_id, _, attribute = (argument if isinstance(argument, str) else ".".join(argument)).partition(".")
                if attribute == "StreamArn":
                    return f"{self.arn(logical_id)}/stream/2026-11-28T00:00:00.000"
                # The attribute Id of a secret is its ARN.
                return self.arn(logical_id) if attribute in ("Arn", "Id") else self.name(logical_id)
            case "Sub":
                return re.sub(r"\$\{([^!}]+)\}", lambda found: str(self._named(found[1])), argument)
            case "Join":
                return str(argument[0]).join(str(self.resolve(item)) for item in argument[1])
            case "Select":
                index, split = argument
                [(_, (separator, text))] = split.items()  # only a Split returns a list
                return str(self.resolve(text)).split(separator)[index]
            case "If":
                condition, then, otherwise = argument
                return self.resolve(then if self._holds(self.source["Conditions"][condition]) else otherwise)
        raise ValueError(f"the audit cannot resolve Fn::{function}: add it to this method")

    def _holds(self, condition: dict[str, Any]) -> bool:
        [(function, argument)] = condition.items()
        if function == "Fn::Not":
            return not self._holds(argument[0])
        if function == "Fn::Equals":
            return bool(self.resolve(argument[0]) == self.resolve(argument[1]))
        raise ValueError(f"the audit cannot evaluate a condition with {function}: add it to this method")

    def _named(self, text: str) -> Any:
        return self._call("GetAtt", text) if "." in text else self._reference(text)

    def _reference(self, name: str) -> Any:
        own = {"StackId": _STACK_ID, "StackName": STACK}
        pseudo = {"AccountId": ACCOUNT, "NoValue": None, "Partition": PARTITION, "Region": REGION} | own
        if name.startswith("AWS::"):
            return pseudo[name.removeprefix("AWS::")]
        if name in self.values:
            return self.values[name]
        return self.arn(name) if self._translated["Resources"][name]["Type"] in _REF_IS_ARN else self.name(name)


def verb(logical_id: str) -> str:
    """`CreateKeyFunctionRole` -> `create_key`, `OnboardStateMachineRole` -> `onboard_state_machine`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", re.sub(r"(Function)?(Role)?$", "", logical_id)).lower()


def whole(root: Path) -> Template:
    """template.yaml with its optional parts."""
    return Template(root / "template.yaml", _OPTIONAL)
