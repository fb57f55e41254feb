"""Deletes a reader role."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from latchkey.policies.reader_roles import POLICY_NAME

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient


def delete_role(name: str, iam: IAMClient) -> None:
    """Deletes a role with its inline policy, if it exists."""
    with suppress(iam.exceptions.NoSuchEntityException):
        iam.delete_role_policy(RoleName=name, PolicyName=POLICY_NAME)
    with suppress(iam.exceptions.NoSuchEntityException):
        iam.delete_role(RoleName=name)
