"""The roles and users that a policy document names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from latchkey.aws.errors import is_malformed_policy, is_settling, locks_out, translate
from latchkey.errors import NotYetEffective
from latchkey.policies import Document, named_principals

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient


@contextmanager
def new_principals_settle(iam: IAMClient, document: Document) -> Iterator[None]:
    """Raises NotYetEffective if AWS rejects the document and it names a principal created in the last minutes.

    A new principal is not known everywhere at once. For any other reason, waiting does not help.
    https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html#KMS-PutKeyPolicy-request-Policy
    """
    try:
        yield
    except ClientError as error:
        is_rejected = is_malformed_policy(error) and not locks_out(error)
        if is_rejected and any(is_settling(_created(iam, arn)) for arn in named_principals(document)):
            raise NotYetEffective(str(translate(error))) from None
        raise


def _created(iam: IAMClient, arn: str) -> datetime | None:
    """The time when a role or user of this account was created, or None if it cannot be read."""
    kind, _, path = arn.split(":", 5)[5].partition("/")
    name = path.rpartition("/")[2]
    try:
        if kind == "role":
            role = iam.get_role(RoleName=name)["Role"]
            return role["CreateDate"] if role["Arn"] == arn else None
        user = iam.get_user(UserName=name)["User"]
        return user["CreateDate"] if user["Arn"] == arn else None
    except ClientError:
        return None
