"""Idempotent verbs: each looks first, changes what is missing, and says whether it changed anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from latchkey import bounds, policies, tokens
from latchkey.accesses import is_exclusive
from latchkey.aws import ROLE_SETTLING, ClientOf, is_settling, settling
from latchkey.desired import ACCESS, MANAGED_BY, NOT_FOR_A_SHARED_KEY, Desired, desire
from latchkey.documents import Document
from latchkey.ensure_role import ensure_role
from latchkey.errors import Conflict, NotYetEffective, TransientAwsError
from latchkey.grants import list_grants, serves
from latchkey.observed import ObservedKey, find_key, find_key_by_tags, find_secret, key_policy, observed_key, secret_policy
from latchkey.registry import NotedKey, Registry
from latchkey.requests import parse_onboarding
from latchkey.settings import Settings
from latchkey.systems.system import CreatingConfiguration, Reading

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


class Ensured(Document):
    """What is there now. `created` is the time from which tags and policies need to settle, if that is known.

    The policy of a key and the tags that consent to its use may count everywhere only minutes after they were set.
    https://docs.aws.amazon.com/kms/latest/developerguide/accessing-kms.html#programming-eventual-consistency
    """

    arn: str
    changed: bool
    created: datetime | None = None


def ensure_key(desired: Desired, kms: KMSClient, registry: Registry) -> Ensured:
    """Finds the key by its ARN or alias, or makes it: symmetric, single-Region, with its policy and tags from birth."""
    if desired.alias is None:
        adopted = _existing_key(kms, desired.request.key.arn or "")
        _refer_alone(adopted.arn, desired, registry)
        return Ensured(arn=adopted.arn, changed=False, created=_settles_since(adopted))
    found = find_key(kms, desired.alias)
    if found is not None and _rotates(found, kms):
        _refer(found, desired, kms, registry)
        return Ensured(arn=found.arn, changed=desired.made(found.tags), created=_settles_since(found))
    # CreateKey has no idempotency token: whoever holds the alias's lease looks again, then makes.
    with registry.lease(f"alias {desired.alias}"):
        key = find_key(kms, desired.alias)
        if key is None:
            key = _create_key(desired, desired.alias, kms, registry)
        else:
            _refer(key, desired, kms, registry)
        with settling(key.created):
            kms.enable_key_rotation(KeyId=key.arn, RotationPeriodInDays=desired.request.key.rotation_days)
    return Ensured(arn=key.arn, changed=True, created=key.created)


def _refer(key: ObservedKey, desired: Desired, kms: KMSClient, registry: Registry) -> None:
    """Refers to the key of an alias and looks again: its removal may have come to its end between look and reference."""
    _refer_alone(key.arn, desired, registry)
    found = find_key(kms, desired.alias or "")
    if found is None or found.arn != key.arn or found.state != "Enabled":
        registry.release(key.arn, desired.access_id)
        raise TransientAwsError(f"{key.arn} has just been removed by another request")


def _refer_alone(key_arn: str, desired: Desired, registry: Registry) -> None:
    """Refers to a key and looks who else does: an exclusive access and another one may both have found it free before."""
    registry.refer(key_arn, desired.access_id)
    others = registry.others(key_arn, desired.access_id)
    if others and (desired.system.key_is_exclusive or is_exclusive(others)):
        registry.release(key_arn, desired.access_id)
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
    noted = registry.key_noted_for(alias)
    key = _begun_key(noted, kms) if noted else None
    if key is None:
        registry.begin_key(alias, desired.request.request_id)
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
    registry.note_key(alias, key.arn)
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
    if key is None and noted.arn and is_settling(noted.begun):
        raise NotYetEffective(f"{noted.arn} is not known everywhere yet")
    return key if key and key.state == "Enabled" else None


def ensure_secret(desired: Desired, key: Ensured, client_of_region: tokens.ClientOfRegion) -> Ensured:
    """Makes the secret under the key, or keeps the one of that name; a copied value that differs becomes a new version.

    The token is born and dies in this function's memory; nothing it returns or raises holds it.
    """
    secretsmanager = client_of_region(desired.place.region)
    found = find_secret(secretsmanager, desired.secret_name)
    token = tokens.copied_token(desired, client_of_region)
    if found is None:
        value = tokens.compose(desired, token) if token else tokens.generated_value(desired)
        return _create_secret(desired, key, value, secretsmanager)
    if found.tags.get(ACCESS) != desired.access_id:
        raise Conflict(f"{found.arn} has been made for another access since the request was checked")
    present = tokens.read_value(secretsmanager, found.arn) if token else ""
    value = tokens.compose(desired, token, present) if token else present
    if value == present:
        return Ensured(arn=found.arn, changed=desired.made(found.tags))
    with settling(key.created):
        secretsmanager.put_secret_value(
            SecretId=found.arn, SecretString=value, ClientRequestToken=_version_id(desired.request.request_id)
        )
    return Ensured(arn=found.arn, changed=True)


def _create_secret(desired: Desired, key: Ensured, value: str, secretsmanager: SecretsManagerClient) -> Ensured:
    try:
        with settling(key.created):
            made = secretsmanager.create_secret(
                Name=desired.secret_name,
                Description=f"Latchkey: the token of {desired.access_id}",
                # The ARN, not an alias: MediaTailor passes what DescribeSecret tells on to CreateGrant, which takes no alias.
                KmsKeyId=key.arn,
                SecretString=value,
                ClientRequestToken=_version_id(desired.request.request_id),
                Tags=[{"Key": name, "Value": text} for name, text in desired.tags().items()],
            )
    except Conflict:
        # Made meanwhile by another run of this request; a retry finds it and goes on from there.
        raise TransientAwsError(f"the secret {desired.secret_name} has just been made by somebody else") from None
    return Ensured(arn=made["ARN"], changed=True)


def _version_id(request_id: str) -> str:
    """One request makes one version of a secret, however often it is tried."""
    return hashlib.sha256(request_id.encode()).hexdigest()


def ensure_policies(
    desired: Desired,
    key: Ensured,
    secret_arn: str | None,
    kms: KMSClient,
    secretsmanager: SecretsManagerClient,
    iam: IAMClient,
    registry: Registry,
    settings: Settings,
) -> Ensured:
    """Puts our statements into the key policy and the secret's policy, then has the secret under the key.

    In this order, so that no present reader of an adopted secret loses it on the way. Without a secret it is the key alone.
    At last the role of a service that assumes one: it would be of no use before.
    """
    secret = find_secret(secretsmanager, secret_arn) if secret_arn else None
    if secret is None and secret_arn:
        raise Conflict(f"{secret_arn} has gone since the request was checked")
    from_default_key = secret is not None and secret.kms_key_id is None
    key_statements = desired.key_statements_beside(secret.arn if secret else "", under_default_key=from_default_key)
    with settling(key.created):
        _refuse_power_over_others(desired, key, kms, registry)
        changed = _merge_into(
            f"policy of {key.arn}",
            key_statements,
            lambda: _key_wants(desired, key.arn, registry, settings),
            registry,
            read=lambda: key_policy(kms, key.arn),
            write=lambda text: kms.put_key_policy(KeyId=key.arn, PolicyName="default", Policy=text),
        )
        if secret is None:
            return Ensured(arn=key.arn, changed=changed, created=datetime.now(UTC) if changed else key.created)
        changed |= _merge_into(
            f"policy of {secret.arn}",
            desired.secret_statements(secret.arn),
            lambda: _secret_wants(desired, secret.arn, registry, settings),
            registry,
            read=lambda: secret_policy(secretsmanager, secret.arn),
            write=lambda text: secretsmanager.put_resource_policy(
                SecretId=secret.arn, ResourcePolicy=text, BlockPublicPolicy=True
            ),
        )
        if secret.kms_key_id != key.arn:
            secretsmanager.update_secret(SecretId=secret.arn, KmsKeyId=key.arn)
            changed = True
    settles = datetime.now(UTC) if changed else key.created
    role = desired.role(key.arn, secret.arn)
    if role is not None:
        # So that nobody's role of this name is taken for ours.
        registry.refer(role.arn(desired.place), desired.access_id)
        changed |= ensure_role(desired, role, iam, lambda: registry.note_role_change(desired.access_id))
    return Ensured(arn=secret.arn, changed=changed, created=settles)


def _refuse_power_over_others(desired: Desired, key: Ensured, kms: KMSClient, registry: Registry) -> None:
    """The check of the request again: another access may have made the key since."""
    if desired.asks_for_powers and not key.changed and registry.others(key.arn, desired.access_id):
        beyond = desired.powers_missing_from(key_policy(kms, key.arn))
        if beyond:
            raise Conflict(f"{', '.join(beyond)} {NOT_FOR_A_SHARED_KEY}")


def _merge_into(
    name: str,
    statements: Sequence[policies.Statement],
    others: Callable[[], Iterable[Iterable[policies.Statement]]],
    registry: Registry,
    read: Callable[[], policies.Document | None],
    write: Callable[[str], Any],
) -> bool:
    """Read, merge, write, read back under a lease; people do not take leases, hence the look afterwards.

    What the other accesses want goes along, since the policy that is read may be older than the last one written.
    """
    if not policies.missing_from(read(), statements):
        return False
    with registry.lease(name):
        wanted = policies.union([*others(), statements])
        # Nothing between these two: what somebody writes there is overwritten unseen, since no write here is conditional.
        write(json.dumps(policies.merge(read(), wanted)))
        lost = policies.missing_from(read(), statements)
        if lost:
            raise TransientAwsError(f"the {name} was written by somebody else meanwhile; missing: {', '.join(lost)}")
    return True


def _others(desired: Desired, resource: str, registry: Registry, settings: Settings) -> Iterator[tuple[Desired, str | None]]:
    """What the other accesses of a key or secret want, each with the key that it has; it may be for another by now.

    Whom the stack trusts no longer nobody brings back.
    """
    for want in registry.wants_of(resource, beside=desired.access_id):
        other = desire(parse_onboarding(want.request), settings)
        if not any(bounds.principal_rule(arn, settings) for arns in other.request.principals.values() for arn in arns):
            yield other, want.key_arn


def _key_wants(
    desired: Desired, key_arn: str, registry: Registry, settings: Settings
) -> Iterator[Sequence[policies.Statement]]:
    """What the other accesses want of the key."""
    for other, has in _others(desired, key_arn, registry, settings):
        if key_arn == has or (has is None and _is_on_its_way(desired, other, key_arn, registry)):
            yield other.key_statements


def _is_on_its_way(desired: Desired, other: Desired, key_arn: str, registry: Registry) -> bool:
    """Will the other request have the key of this one? By an alias of its own that a person made it is not known."""
    if other.alias is None:
        return other.request.key.arn == key_arn
    if other.alias == desired.alias:
        return True
    noted = registry.key_noted_for(other.alias)
    return noted is not None and noted.arn == key_arn


def _secret_wants(
    desired: Desired, secret_arn: str, registry: Registry, settings: Settings
) -> Iterator[Sequence[policies.Statement]]:
    """What the other accesses want of the secret."""
    for other, _ in _others(desired, desired.secret_resource, registry, settings):
        if other.secret_resource == desired.secret_resource:
            yield other.secret_statements(secret_arn)


def ensure_configured(
    desired: Desired, key: Ensured, secret_arn: str, kms: KMSClient, iam: IAMClient, client_of: ClientOf, registry: Registry
) -> Ensured:
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
        return Ensured(arn=arn, changed=False)
    registry.note_former(desired.access_id, present.whole if present else None, key.arn if desired.grant_name else None)
    role_since = _role_since(desired, reading, iam, registry)
    with settling(role_since, ROLE_SETTLING, configuration.unready) if role_since else settling(key.created):
        if present is not None:
            configuration.update(client, resource, reading, present)
        elif not isinstance(configuration, CreatingConfiguration):
            raise Conflict(f"{desired.access_id} has gone since the request was checked")
        elif not configuration.create(client, resource, reading, desired.tags()):
            raise TransientAwsError(f"{arn} has just been made")
    return Ensured(arn=arn, changed=True)


def _is_granted(desired: Desired, key_arn: str, secret_arn: str, resource_arn: str, kms: KMSClient) -> bool:
    """Does the service hold the grant it needs, if it needs one?"""
    name = desired.grant_name
    return name is None or any(serves(grant, name, secret_arn, resource_arn) for grant in list_grants(kms, key_arn).grants)


def _role_since(desired: Desired, reading: Reading, iam: IAMClient, registry: Registry) -> datetime | None:
    """Since when the role by which the service reads is as it is, None if it does not read by one."""
    if reading.role_arn is None:
        return None
    made = iam.get_role(RoleName=reading.role_arn.rsplit("/", 1)[1])["Role"]["CreateDate"]
    return max(made, registry.role_changed(desired.access_id) or made)
