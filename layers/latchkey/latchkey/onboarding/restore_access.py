"""Cancels the deletion of the secret that an offboarding scheduled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latchkey.access.desired import desire
from latchkey.aws.secrets import find_secret
from latchkey.errors import Conflict
from latchkey.onboarding.step_input import StepInput
from latchkey.registry import Registry
from latchkey.registry.journal import SECRET_RESTORATION
from latchkey.settings import Settings
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

__all__ = ["Restored", "StepInput", "restore_access"]


class Restored(WireModel):
    """The ARN of the secret whose deletion was canceled."""

    secret_arn: str | None = None


def restore_access(event: StepInput, settings: Settings, registry: Registry, secretsmanager: SecretsManagerClient) -> Restored:
    """Restores the secret of an offboarded access, so that the steps of an onboarding find it, and refers to it again.

    A secret whose deletion Latchkey did not schedule stays as it is. The step is recorded before its call, so that a rollback
    schedules the deletion again. Raises Conflict if the recovery window has ended since the request was checked.
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RestoreSecret.html
    """
    desired = desire(event.request, settings, event.tenant)
    journal = registry.journal_of(event.execution_arn, desired.access_id, event.tenant)
    record, offboarded = registry.accesses.get(desired.access_id), registry.offboardings.get(desired.access_id)
    if record is None or offboarded is None:
        raise Conflict(f"{desired.access_id} is no longer offboarded")
    arn, ends = record.secret_arn, offboarded.secret_ends
    secret = find_secret(secretsmanager, arn) if arn else None
    if secret is None or arn is None:
        raise Conflict(f"{arn} was deleted after the request was checked: onboard the access again")
    registry.refer(desired.secret_resource, journal)
    if not secret.is_being_deleted or arn != offboarded.secret_arn:
        return Restored()
    journal.intend(SECRET_RESTORATION, {"arn": arn, "ends": ends.isoformat() if ends else None})
    secretsmanager.restore_secret(SecretId=arn)
    return Restored(secretArn=arn)
