"""Compares the size of everything that AWS limits with the limit."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.session import Session

from latchkey import policies as documents
from latchkey.access.desired import Desired
from latchkey.place import Place
from latchkey.requests.models import Several
from latchkey.requests.parsing import parse_onboarding
from tools.audit.findings import Finding, Report
from tools.audit.machines import definitions
from tools.audit.policies import Policy, documented, generated, of_template
from tools.audit.template import ACCOUNT, PARTITION, REGION, Template, whole

NAME = "sizes"
KB, MB = 1024, 1024 * 1024
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MANAGED_POLICY, TRUST_POLICY, ATTACHED_POLICIES = 6_144, 2_048, 10
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
BUS_POLICY = 10_240
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
TEMPLATE_IN_S3, TEMPLATE_IN_REQUEST = MB, 51_200
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ENVIRONMENT, LAYER = 4 * KB, 250 * MB
_PLACE = Place(partition=PARTITION, account=ACCOUNT, region=REGION)


@dataclass(frozen=True)
class Budget:
    """The size of one thing, and the most that AWS accepts."""

    kind: str
    file: str
    item: str
    used: int
    limit: int


def check(root: Path) -> Report:
    """Compares the sizes in this folder. The table has the largest item of each kind."""
    budgets = [*measure(root)]
    largest: dict[str, Budget] = {}
    for budget in budgets:
        if budget.kind not in largest or budget.used > largest[budget.kind].used:
            largest[budget.kind] = budget
    rows = [[b.kind, b.item, f"{b.used:,}", f"{b.limit:,}", f"{100 * b.used / b.limit:.0f} %"] for b in largest.values()]
    findings = [_finding(budget) for budget in budgets if budget.used > budget.limit]
    header = ["kind", "largest", "used", "limit", "share"]
    return Report("Sizes, compared with the limits of AWS", header, rows, [*findings, *unbounded(whole(root))])


def _finding(budget: Budget) -> Finding:
    reason = f"{budget.used:,} is more than the limit of {budget.limit:,}"
    return Finding(NAME, "limit", budget.file, budget.item, budget.kind, reason)


def measure(root: Path) -> Iterator[Budget]:
    """The size of each thing in the folder."""
    template = whole(root)
    yield from _of_roles(template)
    yield from _of_policies([*of_template(template), *generated(root), *documented(root)])
    yield from of_largest_requests(root, template)
    yield from _of_environments(template)
    yield from _of_files(root)


def _of_roles(template: Template) -> Iterator[Budget]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
    file = template.path.name
    for name, role in template.of_type("AWS::IAM::Role").items():
        inline = sum(_characters(policy["PolicyDocument"]) for policy in role.get("Policies", []))
        yield Budget("inline policies of a role", file, name, inline, documents.ROLE_POLICY_LIMIT)
        yield Budget("managed policies on a role", file, name, len(role.get("ManagedPolicyArns", [])), ATTACHED_POLICIES)
    for name, managed in template.of_type("AWS::IAM::ManagedPolicy").items():
        yield Budget("managed policy", file, name, _characters(managed["PolicyDocument"]), MANAGED_POLICY)


def _of_policies(found: list[Policy]) -> Iterator[Budget]:
    bus = 0
    for policy in found:
        size = _characters(policy.document)
        if policy.kind == "trust":
            yield Budget("trust policy", policy.file, policy.name, size, TRUST_POLICY)
        elif "role" in Path(policy.file).name:
            yield Budget("inline policies of a role", policy.file, policy.name, size, documents.ROLE_POLICY_LIMIT)
        elif "mediapackagev2/endpoint" in policy.file:
            yield Budget("endpoint policy", policy.file, policy.name, size, _limit("mediapackagev2", "PolicyText"))
        elif policy.name in ("RequestBusPolicy", "cross-account"):
            bus += size
    yield Budget("bus policy", "template.yaml", "RequestBusPolicy with one sender of docs/security.md", bus, BUS_POLICY)


def of_largest_requests(root: Path, template: Template) -> Iterator[Budget]:
    """The policies for each sample request in which every list is full. Each principal has a name of 64 characters.

    A request with longer paths, or with secrets of other owners, can be larger; `check_request` rejects what does not fit.
    """
    for path in sorted(root.glob("events/requests/onboard-*.json")):
        [entry] = json.loads(path.read_text(encoding="utf-8"))
        request = json.loads(entry["Detail"])
        desired = _desire(_filled(request), template)
        file, arn = str(path.relative_to(root)), desired.secret_arn_pattern.replace("?", "a")
        former = _PLACE.arn("secretsmanager", f"secret:{'n' * 64}/{'n' * 64}-AbCdEf")
        key = documents.merge(desired.new_key_policy, desired.key_share(former).written)
        yield Budget(
            "key policy", file, "the largest request", len(documents.text_of(key).encode()), documents.KEY_POLICY_LIMIT
        )
        if desired.reads_secret:
            secret = documents.new_document(desired.secret_statements(arn))
            limit = _limit("secretsmanager", "NonEmptyResourcePolicyType")
            yield Budget("secret resource policy", file, "the largest request", _characters(secret), limit)


def _filled(request: dict[str, Any]) -> dict[str, Any]:
    most = next(constraint.max_length for constraint in Several.metadata if hasattr(constraint, "max_length"))

    def principals(kind: str) -> list[str]:
        return [_PLACE.arn("iam", f"role/{f'{kind}-{number}':-<64}", region="") for number in range(most)]

    key = request.get("key", {}) | {
        "administrators": principals("administrators"),
        "allowDeletion": True,
        "users": principals("users"),
    }
    filled = {"requestId": "largest"} | request | {"key": key}
    if "secret" in request:
        filled["secret"] = request["secret"] | {"originReaders": principals("readers")}
    return filled | ({"managementRoles": principals("managers")} if "managementRoles" in request else {})


def _desire(request: dict[str, Any], template: Template) -> Desired:
    environment = template.of_type("AWS::Lambda::Function")["CheckRequestFunction"]["Environment"]["Variables"]
    writers = [environment[f"{name}_ROLE"] for name in ("CREATE_KEY", "ATTACH", "REMOVE", "UNDO")]
    configure, *key_writers = (
        _PLACE.arn("iam", f"role/{name}", region="") for name in (environment["CONFIGURE_ROLE"], *writers)
    )
    text = json.dumps(request).replace("us-east-1", REGION).replace("000000000000", ACCOUNT)
    return Desired(
        request=parse_onboarding(json.loads(text)),
        place=_PLACE,
        configure_role_arn=configure,
        key_writers=tuple(key_writers),
        reader_boundary_arn=_PLACE.arn("iam", f"policy/{environment['READER_BOUNDARY']}", region=""),
        stack=environment["STACK_NAME"],
        secret_prefix=environment["SECRET_PREFIX"],
    )


def _of_environments(template: Template) -> Iterator[Budget]:
    """The environment of each function, with the longest value of each parameter and role names of 64 characters."""
    longest = {name: "x" * most for name, parameter in template.source["Parameters"].items() if (most := _most(parameter))}
    for name, function in Template(template.path, longest, role_name=64).of_type("AWS::Lambda::Function").items():
        variables = {key: str(value) for key, value in function["Environment"]["Variables"].items()}
        yield Budget("environment of a function", template.path.name, name, len(json.dumps(variables).encode()), ENVIRONMENT)


def _most(parameter: Mapping[str, Any]) -> int | None:
    """The length of the longest value that a parameter accepts, or None if any length is accepted or all values are short."""
    bounded = re.search(r"\{\d+,(\d+)\}\$$", parameter.get("AllowedPattern", ""))
    return parameter.get("MaxLength") or (int(bounded[1]) if bounded else None)


def unbounded(template: Template) -> Iterator[Finding]:
    """The parameters in the environment of every function that accept a list of any length."""
    for variable in template.source["Globals"]["Function"]["Environment"]["Variables"].values():
        name = variable.get("Ref", "") if isinstance(variable, dict) else ""
        parameter = template.source["Parameters"].get(name, {})
        if parameter.get("AllowedPattern", "").endswith("*$") and "MaxLength" not in parameter:
            reason = f"add a MaxLength: the variables of a function can have {ENVIRONMENT:,} bytes in all"
            yield Finding(NAME, "unbounded", template.path.name, name, "environment of a function", reason)


def _of_files(root: Path) -> Iterator[Budget]:
    config = tomllib.loads((root / "samconfig.toml").read_text(encoding="utf-8"))
    deployed = [
        environment["deploy"]["parameters"]
        for environment in config.values()
        if isinstance(environment, dict) and "deploy" in environment
    ]
    in_s3 = all(parameters.get("resolve_s3") or parameters.get("s3_bucket") for parameters in deployed)
    for name in ("template.yaml", "observability.yaml"):
        limit = TEMPLATE_IN_S3 if in_s3 else TEMPLATE_IN_REQUEST
        yield Budget(f"template, {'in S3' if in_s3 else 'in the request'}", name, name, (root / name).stat().st_size, limit)
    for file, definition in definitions(root).items():
        yield Budget("state machine definition", file, file, len(json.dumps(definition)), _limit("stepfunctions", "Definition"))
    layer = root / ".aws-sam/build/LatchkeyLayer"
    if layer.is_dir():
        size = sum(path.stat().st_size for path in layer.rglob("*") if path.is_file())
        yield Budget("layer and function, unzipped", "layers/latchkey", "LatchkeyLayer", size, LAYER)


def _characters(document: Mapping[str, Any]) -> int:
    """The length of a policy without white space, which the quotas of IAM do not count."""
    return len(documents.text_of(dict(document)))


def _limit(service: str, shape: str) -> int:
    """The longest value of a shape in the model of a service."""
    return int(Session().get_service_model(service).shape_for(shape).metadata["max"])
