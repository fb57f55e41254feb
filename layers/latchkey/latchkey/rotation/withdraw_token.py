"""Withdraws a pending version, so that it can no longer become the current one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latchkey.access.desired import desire
from latchkey.aws.secrets import CURRENT, PENDING, find_secret
from latchkey.registry import Registry
from latchkey.rotation.plan import RotationStep
from latchkey.settings import Settings
from latchkey.tags import may_rotate
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

__all__ = ["RotationStep", "Withdrawn", "withdraw_token"]


class Withdrawn(WireModel):
    """`changed` is false if the version no longer had the label AWSPENDING, or was made current by somebody else.

    The label also stays if the owner of the secret has withdrawn consent. The rotation is withdrawn all the same.
    """

    changed: bool


def withdraw_token(
    event: RotationStep, settings: Settings, registry: Registry, secretsmanager: SecretsManagerClient
) -> Withdrawn:
    """Removes the label AWSPENDING from the version of the pending rotation, and changes nothing else."""
    plan, desired = event.plan, desire(event.request, settings, event.tenant)
    registry.journal_of(event.execution_arn, desired.access_id, event.tenant)
    secret = find_secret(secretsmanager, plan.secret_arn)
    if secret is None or secret.is_being_deleted:
        return Withdrawn(changed=False)
    if not (desired.owns(secret.tags) and may_rotate(secret.tags, desired.stack)):
        return Withdrawn(changed=False)
    if secret.version(PENDING) != plan.version or secret.version(CURRENT) == plan.version:
        return Withdrawn(changed=False)
    secretsmanager.update_secret_version_stage(SecretId=secret.arn, VersionStage=PENDING, RemoveFromVersionId=plan.version)
    return Withdrawn(changed=True)
