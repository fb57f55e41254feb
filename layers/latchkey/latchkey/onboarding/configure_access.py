"""Points the resource at its secret."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from latchkey.access.desired import Desired
from latchkey.access.grants import serves
from latchkey.aws.clients import ClientFor
from latchkey.aws.errors import ROLE_SETTLING, settling
from latchkey.aws.grants import list_grants
from latchkey.errors import Conflict, TransientAwsError
from latchkey.onboarding.step_result import StepResult
from latchkey.registry import Registry
from latchkey.systems.system import CreatingConfiguration, Reading

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_kms.client import KMSClient


def configure_access(
    desired: Desired, key: StepResult, secret_arn: str, kms: KMSClient, iam: IAMClient, client_of: ClientFor, registry: Registry
) -> StepResult:
    """Points the resource at the secret, unless it is and its service holds the grant on this key already.

    What it was set to before is noted first, so that an undo can restore it.
    """
    configuration, resource = desired.system.configuration, desired.resource
    if configuration is None:
        raise Conflict(f"{desired.system.name} has no resource that an API configures")
    client, reading = client_of(configuration.service), desired.reading(key.arn, secret_arn)
    present = configuration.read(client, resource)
    as_wanted = present is not None and present.settings == configuration.wanted(resource, reading)
    arn = present.arn if present else resource.arn(desired.place) or desired.access_id
    if as_wanted and _is_granted(desired, key.arn, secret_arn, arn, kms):
        return StepResult(arn=arn, changed=False)
    registry.journal.note_former(
        desired.access_id, present.full_settings if present else None, key.arn if desired.grant_name else None
    )
    role_since = _role_since(desired, reading, iam, registry)
    with settling(role_since, ROLE_SETTLING, configuration.role_not_ready_errors) if role_since else settling(key.created):
        if present is not None:
            configuration.update(client, resource, reading, present)
        elif not isinstance(configuration, CreatingConfiguration):
            raise Conflict(f"{desired.access_id} has gone since the request was checked")
        elif not configuration.create(client, resource, reading, desired.tags()):
            raise TransientAwsError(f"{arn} has just been made")
    return StepResult(arn=arn, changed=True)


def _is_granted(desired: Desired, key_arn: str, secret_arn: str, resource_arn: str, kms: KMSClient) -> bool:
    """Does the service hold the grant it needs, if it needs one?"""
    name = desired.grant_name
    return name is None or any(serves(grant, name, secret_arn, resource_arn) for grant in list_grants(kms, key_arn).grants)


def _role_since(desired: Desired, reading: Reading, iam: IAMClient, registry: Registry) -> datetime | None:
    """Since when the role by which the service reads is as it is, None if it does not read by one."""
    if reading.role_arn is None:
        return None
    made = iam.get_role(RoleName=reading.role_arn.rsplit("/", 1)[1])["Role"]["CreateDate"]
    return max(made, registry.journal.role_changed(desired.access_id) or made)
