"""The IAM role that a service assumes to read a secret. Latchkey owns the whole role, so its policies are set, not merged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from latchkey.access.desired import Desired
from latchkey.aws.errors import ROLE_SETTLING, settling
from latchkey.aws.roles import ObservedRole, find_role
from latchkey.errors import Conflict, TransientAwsError
from latchkey.policies import is_same, text_of
from latchkey.policies.reader_roles import POLICY_NAME, ReaderRole
from latchkey.tags import ACCESS, is_ours

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient


def ensure_role(
    desired: Desired,
    wanted: ReaderRole,
    iam: IAMClient,
    note_change: Callable[[ObservedRole | None], None],
    *,
    referred: bool,
) -> bool:
    """Ensures that the role trusts the service, reads one secret and has its boundary; returns whether it changed.

    `note_change` receives the role as it was before a change. `referred` means that the registry had the role before this
    attempt. Together with the tag, that proves that the role is ours.
    """
    found, boundary_arn = find_role(iam, wanted.name), desired.reader_boundary_arn
    if found is None:
        note_change(None)
        _create_role(desired, wanted, iam, boundary_arn)
        return True
    if not referred or not is_ours(found.tags, desired.stack) or found.tags.get(ACCESS) != desired.access_id:
        raise Conflict(f"{found.arn} was created for another access after the request was checked: delete or rename it")
    as_wanted = is_as_wanted(found, wanted, boundary_arn)
    if not as_wanted:
        note_change(found)
    update_role(found, wanted, iam, boundary_arn)
    return not as_wanted or desired.made(found.tags)


def _create_role(desired: Desired, wanted: ReaderRole, iam: IAMClient, boundary_arn: str) -> None:
    try:
        created = iam.create_role(
            RoleName=wanted.name,
            AssumeRolePolicyDocument=text_of(wanted.trust),
            Description=f"Latchkey: lets the service of {desired.access_id} read one secret"[:1000],
            PermissionsBoundary=boundary_arn,
            Tags=[{"Key": name, "Value": value} for name, value in desired.tags().items()],
        )["Role"]
    except iam.exceptions.EntityAlreadyExistsException:
        raise TransientAwsError(f"the role {wanted.name} already exists: an earlier attempt created it") from None
    with settling(created["CreateDate"], ROLE_SETTLING):
        _put_policy(wanted, iam)


def update_role(found: ObservedRole, wanted: ReaderRole, iam: IAMClient, boundary_arn: str) -> None:
    """Sets what differs, and so completes a role that a crashed attempt left half created."""
    with settling(found.created, ROLE_SETTLING):
        if not wanted.accepts_trust(found.trust):
            iam.update_assume_role_policy(RoleName=wanted.name, PolicyDocument=text_of(wanted.trust))
        if found.boundary_arn != boundary_arn:
            iam.put_role_permissions_boundary(RoleName=wanted.name, PermissionsBoundary=boundary_arn)
        if not is_same(found.policy, wanted.policy):
            _put_policy(wanted, iam)


def is_as_wanted(found: ObservedRole, wanted: ReaderRole, boundary_arn: str) -> bool:
    """Whether the role needs no update."""
    is_bounded = found.boundary_arn == boundary_arn
    return is_bounded and wanted.accepts_trust(found.trust) and is_same(found.policy, wanted.policy)


def _put_policy(wanted: ReaderRole, iam: IAMClient) -> None:
    iam.put_role_policy(RoleName=wanted.name, PolicyName=POLICY_NAME, PolicyDocument=text_of(wanted.policy))
