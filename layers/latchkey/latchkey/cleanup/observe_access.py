"""Observes the state of a recorded access: what is true of it now, whoever changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latchkey.access.checks import CONFIGURED, Check, state_of
from latchkey.access.desired import desire
from latchkey.access.observed import read_access
from latchkey.access.record import Status
from latchkey.aws.clients import ClientFor
from latchkey.errors import AccessNotEffective
from latchkey.events.outcomes import CheckResult
from latchkey.registry import Registry
from latchkey.settings import Settings
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


class Observation(WireModel):
    """The state of an access and the failed checks that make it so; `status` is None where none is recorded, a request runs,
    or it cannot be told.

    `unsettled`: nothing but a list of grants says that it is revoked, and that may lag. `version` is that of the record when it
    was observed; `proposal` is what would give the access back, if one call of its owner would.
    """

    access_id: str
    status: Status | None
    unsettled: bool = False
    version: int = 0
    lost: tuple[CheckResult, ...] = ()
    proposal: str | None = None


def observe_access(
    access_id: str,
    settings: Settings,
    registry: Registry,
    kms: KMSClient,
    secretsmanager: SecretsManagerClient,
    iam: IAMClient,
    client_of: ClientFor,
) -> Observation:
    """Reads everything an access consists of; changes nothing."""
    record, wanted = registry.accesses.get(access_id), registry.accesses.recorded_request(access_id)
    if record is None or wanted is None or registry.locks.is_locked(access_id):
        return Observation(accessId=access_id, status=None)
    desired = desire(wanted, settings)
    configuration = desired.system.configuration
    # One that was revoked before its owner confirmed comes back as what it was.
    handed_off = record.reached == "handed-off"
    status: Status | None
    lost: tuple[Check, ...]
    try:
        observed = read_access(
            desired,
            record.key_arn,
            record.secret_arn,
            None,
            kms=kms,
            secretsmanager=secretsmanager,
            iam=iam,
            client_of=client_of,
        )
    except AccessNotEffective as error:
        status, lost = "revoked", (Check("key and secret exist", False, str(error)),)
        missing = configuration and configuration.read(client_of(configuration.service), desired.resource) is None
        if missing and not handed_off:
            status, lost = "gone", (Check(CONFIGURED, False, "does not exist"),)
    else:
        status, lost = state_of(desired, observed, handed_off=handed_off)
    # Nobody but the next request takes up again what was given up.
    if status == "active" and registry.accesses.is_unmanaged(access_id):
        status = "unmanaged"
    only_the_grant = [check.name for check in lost] == ["grant is there"]
    return Observation(
        accessId=access_id,
        status=status,
        unsettled=status == "revoked" and all(check.settles for check in lost),
        version=record.version,
        lost=tuple(CheckResult(name=check.name, passed=False, evidence=check.evidence) for check in lost),
        proposal=f"{desired.system.granted[1].renewal} with unchanged settings makes the service create its grant again"
        if only_the_grant and desired.system.granted
        else None,
    )
