"""IAM roles, and what identity policies allow according to the IAM policy simulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from latchkey.aws.errors import is_missing
from latchkey.aws.pages import read_pages
from latchkey.policies import Document
from latchkey.policies.reader_roles import POLICY_NAME

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_iam.literals import ContextKeyTypeEnumType
    from mypy_boto3_iam.type_defs import ContextEntryTypeDef, EvaluationResultTypeDef


@dataclass(frozen=True)
class ObservedRole:
    """An IAM role. `policy` is our inline policy; `others` are the names of its other inline and attached policies."""

    arn: str
    created: datetime
    trust: Document
    policy: Document | None
    boundary_arn: str | None
    others: tuple[str, ...]
    tags: dict[str, str]


def find_role(iam: IAMClient, name: str) -> ObservedRole | None:
    """The role with this name and its policies, or None if it does not exist. boto3 decodes the policy documents."""
    try:
        found = iam.get_role(RoleName=name)["Role"]
        pages = read_pages(iam.list_role_policies, RoleName=name)
        inline = [policy for page in pages for policy in page["PolicyNames"]]
        attached = read_pages(iam.list_attached_role_policies, RoleName=name)
        others = [policy["PolicyArn"] for page in attached for policy in page.get("AttachedPolicies", [])]
        policy = iam.get_role_policy(RoleName=name, PolicyName=POLICY_NAME)["PolicyDocument"] if POLICY_NAME in inline else None
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return ObservedRole(
        arn=found["Arn"],
        created=found["CreateDate"],
        trust=cast("Document", found.get("AssumeRolePolicyDocument", {})),
        policy=cast("Document | None", policy),
        boundary_arn=found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        others=(*(name for name in inline if name != POLICY_NAME), *others),
        tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
    )


def role_names(iam: IAMClient, prefix: str) -> Iterator[str]:
    """The names of all roles of the account that begin with a prefix."""
    for page in read_pages(iam.list_roles, MaxItems=1000):
        yield from (role["RoleName"] for role in page["Roles"] if role["RoleName"].startswith(prefix))


def role_tags(iam: IAMClient, name: str) -> dict[str, str] | None:
    """The tags of a role, or None if it does not exist."""
    try:
        role = iam.get_role(RoleName=name)["Role"]
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return {tag["Key"]: tag["Value"] for tag in role.get("Tags", [])}


def refused_actions(
    iam: IAMClient, principal: str, actions: Sequence[str], resource: str, context: Mapping[str, str | bool | int] | None = None
) -> list[str]:
    """The actions that the identity policies of a principal do not allow on a resource with these context keys."""
    return [
        result["EvalActionName"]
        for result in _simulate(iam, principal, actions, resource, context or {})
        if not _allows(result)
    ]


def denied_actions(
    iam: IAMClient, principal: str, actions: Sequence[str], resource: str, context: Mapping[str, str | bool | int] | None = None
) -> list[str]:
    """The actions that an explicit Deny or the permissions boundary blocks, so that no key policy can allow them."""
    results = _simulate(iam, principal, actions, resource, context or {})
    return [result["EvalActionName"] for result in results if _is_denied(result)]


def _allows(result: EvaluationResultTypeDef) -> bool:
    return result["EvalDecision"] == "allowed"


def _is_denied(result: EvaluationResultTypeDef) -> bool:
    bounded = result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary", True)
    return result["EvalDecision"] == "explicitDeny" or not bounded


def _simulate(
    iam: IAMClient, principal: str, actions: Sequence[str], resource: str, context: Mapping[str, str | bool | int]
) -> Iterator[EvaluationResultTypeDef]:
    """The results of the policy simulator: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html"""
    pages = read_pages(
        iam.simulate_principal_policy,
        PolicySourceArn=principal,
        ActionNames=[*actions],
        ResourceArns=[resource],
        ContextEntries=[_entry(name, value) for name, value in context.items()],
    )
    for page in pages:
        yield from page["EvaluationResults"]


def _entry(name: str, value: str | bool | int) -> ContextEntryTypeDef:
    if isinstance(value, bool):
        return {"ContextKeyName": name, "ContextKeyType": "boolean", "ContextKeyValues": [str(value).lower()]}
    kind: ContextKeyTypeEnumType = "numeric" if isinstance(value, int) else "string"
    return {"ContextKeyName": name, "ContextKeyType": kind, "ContextKeyValues": [str(value)]}
