"""IAM roles, and what identity policies allow according to the IAM policy simulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from latchkey.aws.errors import is_missing
from latchkey.policies import Document
from latchkey.policies.reader_roles import POLICY_NAME

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_iam.type_defs import EvaluationResultTypeDef


@dataclass(frozen=True)
class ObservedRole:
    """A role as IAM tells it; `policy` is our inline policy, `others` are the names of all its other policies."""

    arn: str
    created: datetime
    trust: Document
    policy: Document | None
    boundary_arn: str | None
    others: tuple[str, ...]
    tags: dict[str, str]


def find_role(iam: IAMClient, name: str) -> ObservedRole | None:
    """The role of a name with its policies, or None if there is none. boto3 decodes the documents."""
    try:
        found = iam.get_role(RoleName=name)["Role"]
        pages = iam.get_paginator("list_role_policies").paginate(RoleName=name)
        inline = [policy for page in pages for policy in page["PolicyNames"]]
        attached = iam.get_paginator("list_attached_role_policies").paginate(RoleName=name)
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


def refused_actions(
    iam: IAMClient, principal: str, actions: Sequence[str], resource: str, context: Mapping[str, str] | None = None
) -> list[str]:
    """The actions that the identity policies of a role or user do not allow on a resource, in this context."""
    return [told["EvalActionName"] for told in _simulate(iam, principal, actions, resource, context or {}) if not _allows(told)]


def denied_actions(iam: IAMClient, principal: str, actions: Sequence[str], resource: str) -> list[str]:
    """The actions that no key policy could give: an explicit Deny stands against them, or the permissions boundary."""
    return [told["EvalActionName"] for told in _simulate(iam, principal, actions, resource, {}) if _is_denied(told)]


def _allows(told: EvaluationResultTypeDef) -> bool:
    return told["EvalDecision"] == "allowed"


def _is_denied(told: EvaluationResultTypeDef) -> bool:
    bounded = told.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary", True)
    return told["EvalDecision"] == "explicitDeny" or not bounded


def _simulate(
    iam: IAMClient, principal: str, actions: Sequence[str], resource: str, context: Mapping[str, str]
) -> Iterator[EvaluationResultTypeDef]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html"""
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=principal,
        ActionNames=[*actions],
        ResourceArns=[resource],
        ContextEntries=[
            {"ContextKeyName": name, "ContextKeyType": "string", "ContextKeyValues": [value]} for name, value in context.items()
        ],
    )
    for page in pages:
        yield from page["EvaluationResults"]
