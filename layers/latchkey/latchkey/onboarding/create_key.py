"""Finds or creates the customer managed key of an access."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from latchkey import policies
from latchkey.access.desired import Desired, desire
from latchkey.access.record import is_exclusive
from latchkey.aws.errors import is_settling, settling
from latchkey.aws.keys import ObservedKey, find_key, find_key_by_tags, observed_key, rotation_days
from latchkey.aws.principals import new_principals_settle
from latchkey.errors import Conflict, NotYetEffective, TransientAwsError
from latchkey.onboarding.approval import require_approved_key
from latchkey.onboarding.step_input import StepInput
from latchkey.onboarding.step_result import StepResult
from latchkey.registry import Registry
from latchkey.registry.journal import KEY, KEY_ROTATION, RequestJournal
from latchkey.registry.resources import NotedKey
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.settings import Settings
from latchkey.tags import MANAGED_BY

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_kms.client import KMSClient


__all__ = ["CreateKeyInput", "StepResult", "create_key"]


class CreateKeyInput(StepInput):
    """A request that has passed its rules."""


def create_key(event: CreateKeyInput, settings: Settings, registry: Registry, kms: KMSClient, iam: IAMClient) -> StepResult:
    """Finds the key by its ARN or alias, or creates a symmetric single-Region key with its policy, tags and rotation."""
    desired = desire(event.request, settings, event.tenant)
    journal = registry.journal_of(event.execution_arn, desired.access_id, event.tenant)
    if desired.alias is None:
        adopted = _existing_key(kms, desired.request.key.arn or "")
        require_approved_key(adopted, desired, registry)
        _refer_alone(adopted.arn, desired, registry, journal)
        return StepResult(arn=adopted.arn, changed=False, settlesFrom=_settles_from(adopted))
    found = find_key(kms, desired.alias)
    if found is not None and _rotates_as_wanted(found, desired, kms):
        _refer(found, desired, kms, registry, journal)
        return StepResult(arn=found.arn, changed=desired.made(found.tags), settlesFrom=_settles_from(found))
    # CreateKey has no idempotency token, so the alias is looked up again under a lease before a key is created.
    # A waiting request stops waiting when another one has created the key.
    with registry.lease(f"alias {desired.alias}", lambda: _is_complete(desired, kms)) as lease:
        key = find_key(kms, desired.alias)
        if key is not None and _rotates_as_wanted(key, desired, kms):
            _refer(key, desired, kms, registry, journal)
            return StepResult(arn=key.arn, changed=desired.made(key.tags), settlesFrom=_settles_from(key))
        if lease is None:
            raise TransientAwsError(f"another request removed the key of {desired.alias}")
        if key is None:
            key = _create_key(desired, desired.alias, kms, iam, registry, journal)
        else:
            _refer(key, desired, kms, registry, journal)
            _intend_rotation(key, desired, kms, registry, journal)
        with settling(key.created):
            kms.enable_key_rotation(KeyId=key.arn, RotationPeriodInDays=desired.request.key.rotation_days)
    return StepResult(arn=key.arn, changed=True, settlesFrom=key.created)


def _accept(key: ObservedKey, desired: Desired, journal: RequestJournal, registry: Registry) -> None:
    """Raises Conflict for a key that the request did not expect: one without consent, or in place of the one that it created.

    After check_request ran, the alias can have been created for, or moved to, another key. If that happened between CreateKey
    and CreateAlias, the rollback removes the key of this request.
    """
    require_approved_key(key, desired, registry)
    if journal.entry(KEY) is not None and not desired.made(key.tags):
        raise Conflict(f"{desired.alias} was created for {key.arn} during this request: send the request again")


def _refer(key: ObservedKey, desired: Desired, kms: KMSClient, registry: Registry, journal: RequestJournal) -> None:
    """Refers to the key of an alias, then reads it again: its removal can have finished before the reference was recorded."""
    _accept(key, desired, journal, registry)
    was_referred = _refer_alone(key.arn, desired, registry, journal)
    found = find_key(kms, desired.alias or "")
    if found is None or found.arn != key.arn or found.state != "Enabled":
        _release(key.arn, desired, registry, was_referred=was_referred)
        raise TransientAwsError(f"{key.arn} was removed by another request in the meantime")


def _refer_alone(key_arn: str, desired: Desired, registry: Registry, journal: RequestJournal) -> bool:
    """Refers to a key, then reads its other accesses: two requests can both have found a partner's key unused.

    Returns whether the access referred to the key before.
    """
    was_referred = registry.resources.is_referred(key_arn, desired.access_id)
    registry.refer(key_arn, journal)
    others = registry.resources.others(key_arn, desired.access_id)
    if others and (desired.system.key_is_exclusive or is_exclusive(others)):
        _release(key_arn, desired, registry, was_referred=was_referred)
        serving = ", ".join(sorted(others))
        raise Conflict(f"{key_arn} now serves {serving} and cannot be shared with a partner: choose another alias")
    return was_referred


def _release(key_arn: str, desired: Desired, registry: Registry, *, was_referred: bool) -> None:
    """Removes the reference that this attempt added. One that existed before belongs to the record, or to the rollback."""
    if not was_referred:
        registry.resources.release(key_arn, desired.access_id)


def _is_complete(desired: Desired, kms: KMSClient) -> bool:
    key = find_key(kms, desired.alias or "")
    return key is not None and _rotates_as_wanted(key, desired, kms)


def _rotates_as_wanted(key: ObservedKey, desired: Desired, kms: KMSClient) -> bool:
    """Whether rotation is on, with the period that the request names. The owner of an adopted key decides about that."""
    if MANAGED_BY not in key.tags:
        return True
    days = _rotation_days(key, kms)
    return days is not None and desired.request.key.wanted_rotation_days in (None, days)


def _rotation_days(key: ObservedKey, kms: KMSClient) -> int | None:
    with settling(key.created):
        return rotation_days(kms, key.arn)


def _intend_rotation(key: ObservedKey, desired: Desired, kms: KMSClient, registry: Registry, journal: RequestJournal) -> None:
    """Records that the period of a key that rotates is about to change. A rotation that a crash left off is only completed."""
    found = _rotation_days(key, kms)
    if found is None or desired.made(key.tags):
        return
    if others := registry.resources.others(key.arn, desired.access_id):
        rotation, serving = f"{key.arn} rotates every {found} days", ", ".join(sorted(others))
        raise Conflict(f"{rotation} and now serves {serving}: remove key.rotationDays, or choose another alias")
    journal.intend(KEY_ROTATION, {"arn": key.arn, "days": desired.request.key.rotation_days}, found={"days": found})


def _settles_from(key: ObservedKey) -> datetime:
    """The time from which the tags of a key propagate. It is unknown for a consent tag, so now is assumed."""
    return key.created if MANAGED_BY in key.tags else datetime.now(UTC)


def _existing_key(kms: KMSClient, arn: str) -> ObservedKey:
    key = find_key(kms, arn)
    if key is None:
        raise Conflict(f"{arn} was deleted after the request was checked: send the request again")
    return key


def _create_key(
    desired: Desired, alias: str, kms: KMSClient, iam: IAMClient, registry: Registry, journal: RequestJournal
) -> ObservedKey:
    """Creates the key and its alias. A key that an earlier attempt created without its alias is used again."""
    noted = registry.resources.noted_key(alias)
    key = _begun_key(noted, desired, kms) if noted else None
    if key is None:
        journal.intend(KEY, {"alias": alias, "statements": [*desired.known_key_statements]})
        registry.resources.begin_key(alias, desired.request.request_id)
        with new_principals_settle(iam, desired.new_key_policy):
            created = kms.create_key(
                Description=f"Latchkey: secrets that {desired.system.name} reads",
                KeySpec="SYMMETRIC_DEFAULT",
                KeyUsage="ENCRYPT_DECRYPT",
                Origin="AWS_KMS",
                MultiRegion=False,
                Policy=policies.text_of(desired.new_key_policy),
                Tags=[{"TagKey": name, "TagValue": value} for name, value in desired.tags(shared=True).items()],
            )["KeyMetadata"]
        key = observed_key(created, desired.tags(shared=True))
        journal.complete(KEY, {"arn": key.arn})
    if not desired.owns(key.tags):
        raise Conflict(f"{alias} is {NOT_ALLOWED}")
    registry.resources.note_key(alias, key.arn)
    # Before the alias, so that a rollback that removes the key does not delete the new alias.
    _refer_alone(key.arn, desired, registry, journal)
    try:
        with settling(key.created):
            kms.create_alias(AliasName=alias, TargetKeyId=key.arn)
    except Conflict:
        # An earlier attempt created it and its response was lost; a retry finds it.
        raise TransientAwsError(f"{alias} already exists: an earlier attempt created it") from None
    return key


def _begun_key(noted: NotedKey, desired: Desired, kms: KMSClient) -> ObservedKey | None:
    """The enabled key of an earlier attempt, found by its ARN or, if the response was lost, by its request tag."""
    made = partial(desired.made_by, noted.request_id)
    key = find_key(kms, noted.arn) if noted.arn else find_key_by_tags(kms, made, noted.started)
    if key is None and noted.arn and is_settling(noted.started):
        raise NotYetEffective(f"{noted.arn} does not exist everywhere yet")
    return key if key and key.state == "Enabled" else None
