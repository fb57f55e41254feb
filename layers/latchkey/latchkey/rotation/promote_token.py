"""Makes a pending version the current version of its secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latchkey.access.desired import desire
from latchkey.aws.secrets import CURRENT, PENDING, find_secret
from latchkey.errors import Conflict
from latchkey.registry import Registry
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.rotation.plan import RotationStep
from latchkey.settings import Settings
from latchkey.tags import may_rotate
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

__all__ = ["PromoteTokenInput", "Promoted", "promote_token"]


class PromoteTokenInput(RotationStep):
    """`again`: the value that is current now is stored a second time, and that version becomes the current one."""

    again: bool = False


class Promoted(WireModel):
    """The current version of the secret. `changed` is false if an earlier attempt made it current."""

    version: str
    changed: bool


def promote_token(
    event: PromoteTokenInput, settings: Settings, registry: Registry, secretsmanager: SecretsManagerClient
) -> Promoted:
    """Moves the label AWSCURRENT with one call, which moves AWSPREVIOUS to the former version.

    The call fails if somebody else has moved the label since this function read it. The label AWSPENDING stays on the version,
    as after a rotation by Secrets Manager.
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
    """
    plan, desired = event.plan, desire(event.request, settings, event.tenant)
    registry.journal_of(event.execution_arn, desired.access_id, event.tenant)
    version, former = (plan.second or "", plan.version) if event.again else (plan.version, plan.former)
    secret = find_secret(secretsmanager, plan.secret_arn)
    if secret is None or secret.is_being_deleted:
        raise Conflict(f"{plan.secret_arn} was deleted after the request was checked: restore the secret first")
    if not (desired.owns(secret.tags) and may_rotate(secret.tags, desired.stack)):
        raise Conflict(f"{secret.arn} is {NOT_ALLOWED}")
    current = secret.version(CURRENT)
    if current is not None and current in {version, plan.second}:
        return Promoted(version=version, changed=False)
    if current != former or secret.version(PENDING) != version:
        raise Conflict(f"somebody else moved a staging label of {secret.arn} after the request was checked")
    secretsmanager.update_secret_version_stage(
        SecretId=secret.arn, VersionStage=CURRENT, MoveToVersionId=version, RemoveFromVersionId=former
    )
    return Promoted(version=version, changed=True)
