"""Finds or creates the customer managed key of an access."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from latchkey.access.desired import Desired
from latchkey.access.record import is_exclusive
from latchkey.aws.errors import is_settling, settling
from latchkey.aws.keys import ObservedKey, find_key, find_key_by_tags, observed_key
from latchkey.errors import Conflict, NotYetEffective, TransientAwsError
from latchkey.onboarding.step_result import StepResult
from latchkey.registry import Registry
from latchkey.registry.resources import NotedKey
from latchkey.tags import MANAGED_BY

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient


def create_key(desired: Desired, kms: KMSClient, registry: Registry) -> StepResult:
    """Finds the key by its ARN or alias, or makes it: symmetric, single-Region, with its policy and tags from birth."""
    if desired.alias is None:
        adopted = _existing_key(kms, desired.request.key.arn or "")
        _refer_alone(adopted.arn, desired, registry)
        return StepResult(arn=adopted.arn, changed=False, created=_settles_since(adopted))
    found = find_key(kms, desired.alias)
    if found is not None and _rotates(found, kms):
        _refer(found, desired, kms, registry)
        return StepResult(arn=found.arn, changed=desired.made(found.tags), created=_settles_since(found))
    # CreateKey has no idempotency token: whoever holds the alias's lease looks again, then makes.
    with registry.lease(f"alias {desired.alias}"):
        key = find_key(kms, desired.alias)
        if key is None:
            key = _create_key(desired, desired.alias, kms, registry)
        else:
            _refer(key, desired, kms, registry)
        with settling(key.created):
            kms.enable_key_rotation(KeyId=key.arn, RotationPeriodInDays=desired.request.key.rotation_days)
    return StepResult(arn=key.arn, changed=True, created=key.created)


def _refer(key: ObservedKey, desired: Desired, kms: KMSClient, registry: Registry) -> None:
    """Refers to the key of an alias and looks again: its removal may have come to its end between look and reference."""
    _refer_alone(key.arn, desired, registry)
    found = find_key(kms, desired.alias or "")
    if found is None or found.arn != key.arn or found.state != "Enabled":
        registry.resources.release(key.arn, desired.access_id)
        raise TransientAwsError(f"{key.arn} has just been removed by another request")


def _refer_alone(key_arn: str, desired: Desired, registry: Registry) -> None:
    """Refers to a key and looks who else does: an exclusive access and another one may both have found it free before."""
    registry.resources.refer(key_arn, desired.access_id)
    others = registry.resources.others(key_arn, desired.access_id)
    if others and (desired.system.key_is_exclusive or is_exclusive(others)):
        registry.resources.release(key_arn, desired.access_id)
        raise Conflict(f"{key_arn} serves {', '.join(sorted(others))} since the request was checked, and nothing else")


def _rotates(key: ObservedKey, kms: KMSClient) -> bool:
    """Is nothing left to do about rotation? The owner of an adopted key decides on that."""
    if MANAGED_BY not in key.tags:
        return True
    with settling(key.created):
        return kms.get_key_rotation_status(KeyId=key.arn)["KeyRotationEnabled"]


def _settles_since(key: ObservedKey) -> datetime:
    """Nobody tells since when the owner of an adopted key consents: it may be since the last rejection."""
    return key.created if MANAGED_BY in key.tags else datetime.now(UTC)


def _existing_key(kms: KMSClient, arn: str) -> ObservedKey:
    key = find_key(kms, arn)
    if key is None:
        raise Conflict(f"{arn} has gone since the request was checked")
    return key


def _create_key(desired: Desired, alias: str, kms: KMSClient, registry: Registry) -> ObservedKey:
    """Makes the key and its alias. A key begun before, whose alias or even answer is missing, is used again."""
    noted = registry.resources.noted_key(alias)
    key = _begun_key(noted, kms) if noted else None
    if key is None:
        registry.resources.begin_key(alias, desired.request.request_id)
        made = kms.create_key(
            Description=f"Latchkey: secrets that {desired.system.name} reads",
            KeySpec="SYMMETRIC_DEFAULT",
            KeyUsage="ENCRYPT_DECRYPT",
            Origin="AWS_KMS",
            MultiRegion=False,
            Policy=json.dumps(desired.new_key_policy),
            Tags=[{"TagKey": name, "TagValue": value} for name, value in desired.tags(shared=True).items()],
        )["KeyMetadata"]
        key = observed_key(made, desired.tags(shared=True))
    registry.resources.note_key(alias, key.arn)
    # Before the alias, so that whoever is removing the key does not take the new alias for the one it deletes.
    _refer_alone(key.arn, desired, registry)
    try:
        with settling(key.created):
            kms.create_alias(AliasName=alias, TargetKeyId=key.arn)
    except Conflict:
        # Made by a try whose answer was lost; the next look finds it.
        raise TransientAwsError(f"{alias} has just been made") from None
    return key


def _begun_key(noted: NotedKey, kms: KMSClient) -> ObservedKey | None:
    """The usable key that an earlier try began, found by its ARN or, if even that was lost, by its request's tag."""
    key = find_key(kms, noted.arn) if noted.arn else find_key_by_tags(kms, noted.request_id)
    if key is None and noted.arn and is_settling(noted.started):
        raise NotYetEffective(f"{noted.arn} is not known everywhere yet")
    return key if key and key.state == "Enabled" else None
