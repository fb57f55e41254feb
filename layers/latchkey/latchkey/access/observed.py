"""Reads AWS: what is true of a key, a secret and a resource. Complete or it raises."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from latchkey.aws.clients import ClientFor
from latchkey.aws.errors import is_missing, is_refused
from latchkey.aws.grants import Grant, list_grants
from latchkey.aws.keys import ObservedKey, find_key, key_policy
from latchkey.aws.roles import ObservedRole, find_role, refused_actions
from latchkey.aws.secrets import DEFAULT_KEY, ObservedSecret, current_keys, find_secret, secret_policy
from latchkey.errors import AccessNotEffective
from latchkey.policies import Document
from latchkey.systems.readers import AssumedRole

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

    from latchkey.access.desired import Desired
    from latchkey.systems.system import Configured


@dataclass(frozen=True)
class ObservedAccess:
    """All that the checks of one access compare with what should be true.

    `secret_keys` encrypt the current version of the secret; the grants of those, if the access's key is none of them, are
    `moved_grants`, None if they may not be read. `refused` are the actions that the reader's role needs and its identity
    policies do not allow, as IAM simulates them.
    """

    key: ObservedKey
    key_policy: Document
    rotates: bool
    secret: ObservedSecret | None
    secret_keys: tuple[str, ...]
    secret_policy: Document | None
    configured: Configured | None
    alerts: tuple[str, ...]
    grants: tuple[Grant, ...]
    former_grants: tuple[Grant, ...] = ()
    moved_grants: tuple[Grant, ...] | None = ()
    role: ObservedRole | None = None
    refused: tuple[str, ...] = ()


def read_access(
    desired: Desired,
    key_arn: str,
    secret_arn: str | None,
    former_key_arn: str | None,
    *,
    kms: KMSClient,
    secretsmanager: SecretsManagerClient,
    iam: IAMClient,
    client_of: ClientFor,
) -> ObservedAccess:
    """Everything about one access, each thing read once. Raises AccessNotEffective if the key or the secret is gone."""
    key, secret = find_key(kms, key_arn), find_secret(secretsmanager, secret_arn) if secret_arn else None
    if key is None or (secret is None and secret_arn):
        raise AccessNotEffective(f"{key_arn if key is None else secret_arn} does not exist")
    configuration = desired.system.configuration
    client = client_of(configuration.service) if configuration else None
    configured = configuration.read(client, desired.resource) if configuration else None
    wanted = desired.role(key_arn, secret_arn) if secret_arn else None
    role = find_role(iam, wanted.name) if wanted else None
    under = _keys_of(secret, kms, secretsmanager) if secret else (key_arn,)
    return ObservedAccess(
        key=key,
        key_policy=key_policy(kms, key_arn),
        rotates=kms.get_key_rotation_status(KeyId=key_arn)["KeyRotationEnabled"],
        secret=secret,
        secret_keys=under,
        secret_policy=secret_policy(secretsmanager, secret.arn) if secret and not secret.is_being_deleted else None,
        configured=configured,
        alerts=configuration.alerts(client, configured.arn) if configuration and configured else (),
        grants=list_grants(kms, key_arn).grants,
        former_grants=_grants_on({former_key_arn or key_arn} - {key_arn}, kms) or (),
        moved_grants=_grants_on(under, kms) if key_arn not in under else (),
        role=role,
        refused=tuple(_refused(iam, role, desired, under, secret_arn)) if role and secret_arn else (),
    )


def _keys_of(secret: ObservedSecret, kms: KMSClient, secretsmanager: SecretsManagerClient) -> tuple[str, ...]:
    """The keys of the current version; a secret in deletion tells only its own."""
    return (secret.kms_key_id or DEFAULT_KEY,) if secret.is_being_deleted else current_keys(secret, kms, secretsmanager)


def _refused(iam: IAMClient, role: ObservedRole, desired: Desired, keys: tuple[str, ...], secret_arn: str) -> list[str]:
    """What the role needs and may not: reading the secret, and decrypting it through Secrets Manager with one of its keys."""
    reader = desired.system.reader
    actions = reader.secret_actions if isinstance(reader, AssumedRole) else ()
    context = {
        "kms:ViaService": f"secretsmanager.{desired.place.region}.amazonaws.com",
        "kms:EncryptionContext:SecretARN": secret_arn,
    }
    refused = refused_actions(iam, role.arn, actions, secret_arn)
    # The default key admits whoever may read the secret.
    decrypting = [refused_actions(iam, role.arn, ("kms:Decrypt",), key, context) for key in keys if key != DEFAULT_KEY]
    return refused + min(decrypting, key=len, default=[])


def _grants_on(keys: Iterable[str], kms: KMSClient) -> tuple[Grant, ...] | None:
    """The grants of keys that others may have taken away or closed; None if their owner lets nobody list them."""
    try:
        return tuple(grant for key in keys if key != DEFAULT_KEY for grant in list_grants(kms, key).grants)
    except ClientError as error:
        if is_missing(error):
            return ()
        if is_refused(error):
            return None
        raise
