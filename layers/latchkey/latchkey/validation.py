"""Proves a finished access by reading everything it consists of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from latchkey.aws import ClientOf
from latchkey.desired import Desired
from latchkey.documents import Document
from latchkey.drift import check_access
from latchkey.errors import AccessNotEffective, NotYetEffective, PolicyOverwritten
from latchkey.grants import serves
from latchkey.observed import observe_access
from latchkey.outcomes import CheckResult, Resources
from latchkey.registry import AccessRecord, Registry

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


# Whoever has written over our statements so often will do it again.
_MOST = 5


class Validated(Document):
    """Every check, all passed, and what serves the access."""

    checks: tuple[CheckResult, ...]
    resources: Resources


def validate_access(
    desired: Desired,
    key_arn: str,
    secret_arn: str,
    attached: int,
    registry: Registry,
    kms: KMSClient,
    secretsmanager: SecretsManagerClient,
    client_of: ClientOf,
) -> Validated:
    """Raises with the failed checks what may mend them: PolicyOverwritten, NotYetEffective, or else AccessNotEffective."""
    former = registry.access(desired.access_id)
    former_key_arn = former.key_arn if former else None
    observed = observe_access(
        desired, key_arn, secret_arn, former_key_arn, kms=kms, secretsmanager=secretsmanager, client_of=client_of
    )
    checks = check_access(desired, observed)
    failed = [check for check in checks if not check.passed]
    if failed:
        told = json.dumps({"failed": [{"check": check.name, "evidence": check.evidence} for check in failed]})
        if attached < _MOST and any(check.overwritten for check in failed):
            raise PolicyOverwritten(told)
        raise NotYetEffective(told) if all(check.settles for check in failed) else AccessNotEffective(told)
    resource_arn = desired.resource.arn(desired.place)
    grant = next((g for g in observed.grants if serves(g, desired.grant_name, secret_arn, resource_arn)), None)
    return Validated(
        checks=tuple(CheckResult(name=check.name, passed=check.passed, evidence=check.evidence) for check in checks),
        resources=Resources(
            keyArn=key_arn, secretArn=secret_arn, resourceArn=resource_arn, grantId=grant.grant_id if grant else None
        ),
    )


class Recorded(Document):
    """The registry's version of the access."""

    access_id: str
    version: int


def record_access(desired: Desired, key_arn: str, secret_arn: str, registry: Registry) -> Recorded:
    """Records a validated access as active, unless this request has done so."""
    found = registry.access(desired.access_id)
    wanted = AccessRecord(
        access_id=desired.access_id,
        system=desired.system.name,
        status="active",
        request_id=desired.request.request_id,
        key_arn=key_arn,
        secret_arn=secret_arn,
        resource_arn=desired.resource.arn(desired.place),
        version=found.version if found else 0,
    )
    if desired.origin_host:
        registry.add_origin_host(secret_arn, desired.origin_host)
    saved = found if found == wanted else registry.save_access(wanted, desired.request.wire)
    return Recorded(accessId=saved.access_id, version=saved.version)
