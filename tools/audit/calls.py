"""Simulates the calls of calls.yaml with the policies of the template and those that Latchkey generates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tools.audit import node
from tools.audit.findings import Finding, Report
from tools.audit.policies import documented, of_aws, of_template
from tools.audit.template import ACCOUNT, verb, whole

NAME = "calls"
TABLE = Path(__file__).with_name("calls.yaml")
Document = dict[str, Any]
EVERY_ROLE = "every role"


@dataclass(frozen=True)
class Call:
    """One call, and whether it has to be allowed."""

    rule: str
    who: str
    action: str
    resource: str
    context: Mapping[str, Any]
    allowed: bool

    def __str__(self) -> str:
        shown = f" with {json.dumps(self.context)}" if self.context else ""
        return f"{self.who} calls {self.action} on {self.resource}{shown}"


def check(root: Path) -> Report:
    """Simulates the calls of the table under the policies in this folder."""
    table = YAML(typ="safe").load(TABLE.read_text(encoding="utf-8"))
    account = Account(root, table["principals"], table["resources"])
    calls = [*read(table["rules"], account.roles)]
    simulations = [account.simulation(call) for call in calls]
    findings = [*_findings(calls, node.run("calls.mjs", simulations))]
    rows = []
    for rule in table["rules"]:
        of_rule = [call for call in calls if call.rule == rule["rule"]]
        allowed = sum(call.allowed for call in of_rule)
        rows.append([rule["rule"], str(allowed), str(len(of_rule) - allowed)])
    return Report("Calls, simulated by iam-simulate", ["rule", "allowed", "denied"], rows, findings)


def read(rules: Iterable[Mapping[str, Any]], roles: Iterable[str]) -> Iterator[Call]:
    """The calls of the rules: one for each principal, action and resource of an entry."""
    for rule in rules:
        for entry in rule["calls"]:
            exempt = _listed(entry.get("except", []))
            for who in [*roles] if entry["who"] == EVERY_ROLE else _listed(entry["who"]):
                for action in _listed(entry["action"]) if who not in exempt else ():
                    for resource in _listed(entry["on"]):
                        yield Call(rule["rule"], who, action, resource, entry.get("with", {}), entry["is"] == "allowed")


def _findings(calls: Iterable[Call], answers: Iterable[Mapping[str, str]]) -> Iterator[Finding]:
    for call, answer in zip(calls, answers, strict=True):
        expected, result = "allowed" if call.allowed else "denied", answer.get("result")
        if "problem" in answer:
            yield Finding(NAME, "invalid", "tools/audit/calls.yaml", call.rule, str(call), answer["problem"])
        elif (result == "Allowed") is not call.allowed:
            yield Finding(
                NAME, expected, "template.yaml", call.rule, str(call), f"expected {expected}, but the result is {result}"
            )


class Account:
    """The principals and resources of an account, with their policies."""

    def __init__(self, root: Path, principals: Mapping[str, Any], resources: Mapping[str, Any]) -> None:
        self._root, self._principals, self._resources = root, principals, resources
        self._template = whole(root)

    @cached_property
    def roles(self) -> dict[str, str]:
        """The logical IDs of the roles of the stack by what they are for: `create_key`, or `onboard` for a state machine."""
        return {verb(name).removesuffix("_state_machine"): name for name in self._roles}

    @cached_property
    def _roles(self) -> dict[str, dict[str, Any]]:
        return self._template.of_type("AWS::IAM::Role")

    @cached_property
    def _managed(self) -> dict[str, Document]:
        policies = self._template.of_type("AWS::IAM::ManagedPolicy").items()
        return {self._template.arn(name): policy["PolicyDocument"] for name, policy in policies}

    @cached_property
    def _on_resources(self) -> dict[str, Document]:
        return {policy.name: policy.document for policy in of_template(self._template) if policy.kind == "resource"}

    @cached_property
    def _documented(self) -> dict[str, Document]:
        return {policy.name: policy.document for policy in documented(self._root)}

    def simulation(self, call: Call) -> dict[str, Any]:
        """A call in the form that iam-simulate takes."""
        arn, identity, boundary = self._principal(call.who)
        resource = self._resources[call.resource]
        target = self._template.arn(resource["is"]) if "is" in resource else resource["arn"]
        simulation: dict[str, Any] = {
            "request": {
                "principal": arn,
                "action": call.action,
                "resource": {"resource": target, "accountId": resource.get("account", ACCOUNT)},
                "contextVariables": {**_about(arn), **call.context},
            },
            "identityPolicies": [{"name": f"{call.who} {at}", "policy": document} for at, document in enumerate(identity)],
        }
        if "policy" in resource:
            simulation["resourcePolicy"] = self._resource_policy(resource["policy"])
        if boundary:
            simulation["permissionBoundaryPolicies"] = [{"name": "boundary", "policy": boundary}]
        return simulation

    def _principal(self, who: str) -> tuple[str, list[Document], Document | None]:
        """The ARN of a principal, its policies, and its permissions boundary."""
        if who in self.roles:
            role = self._roles[self.roles[who]]
            attached = [self._managed.get(arn) or of_aws(arn) for arn in role.get("ManagedPolicyArns", [])]
            inline = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
            added = self._template.of_type("AWS::IAM::Policy").values()
            name = self._template.name(self.roles[who])
            inline += [policy["PolicyDocument"] for policy in added if name in policy["Roles"]]
            return self._template.arn(self.roles[who]), attached + inline, None
        principal = self._principals[who]
        if "service" in principal:
            return principal["service"], [], None
        if "generated" in principal:
            role = json.loads((self._root / principal["generated"]).read_text(encoding="utf-8"))
            return role["arn"], [role["policy"]], self._managed[self._template.arn(principal["boundary"])]
        documents = [of_aws(arn) for arn in principal.get("managed", [])]
        return principal["arn"], documents + [self._documented[name] for name in principal.get("documented", [])], None

    def _resource_policy(self, name: str | Document) -> Document:
        """A policy of the template by its logical ID, or a golden policy by its file. `file#member` is a member of the file."""
        if not isinstance(name, str):
            return name
        if name in self._on_resources:
            return self._on_resources[name]
        file, _, member = name.partition("#")
        golden = json.loads((self._root / file).read_text(encoding="utf-8"))
        document: Document = golden[member] if member else golden
        return document


def _about(arn: str) -> dict[str, str]:
    """What AWS adds to every request: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
    if not arn.startswith("arn:"):
        return {"aws:PrincipalIsAWSService": "true", "aws:PrincipalServiceName": arn}
    return {"aws:PrincipalArn": arn, "aws:PrincipalAccount": arn.split(":")[4], "aws:PrincipalIsAWSService": "false"}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
