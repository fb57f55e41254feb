"""What identity policies allow, as IAM's simulator tells it; it knows neither resource policies nor key policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_iam.type_defs import EvaluationResultTypeDef


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
