"""Reads what an access consists of: its key, secret, role, resource and grants. A read is complete, or it raises an error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from latchkey.aws.clients import Clients
from latchkey.aws.errors import is_missing, is_refused
from latchkey.aws.grants import Grant, list_grants
from latchkey.aws.keys import ObservedKey, find_key, key_policy, rotation_days
from latchkey.aws.roles import ObservedRole, find_role, refused_actions
from latchkey.aws.secrets import DEFAULT_KEY, ObservedSecret, all_secret_policies, current_keys, find_secret
from latchkey.errors import AccessNotEffective
from latchkey.policies import Document
from latchkey.systems.readers import AssumedRole
from latchkey.systems.system import Configured

if TYPE_CHECKING:
    from latchkey.access.desired import Desired


@dataclass(frozen=True)
class KeyRead:
    """Everything about a key that all of its accesses have in common. `aliases` are the names of all of its aliases."""

    key: ObservedKey
    policy: Document
    rotation_days: int | None
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Inventoried:
    """What an inventory read of an access, so that it need not be read again. None: it was not read, or not listed.

    `grants` are those on the key with the name of the resource. A list can lag behind, so an inventory only ever confirms that
    nothing is wrong.
    """

    key: KeyRead | None = None
    grants: tuple[Grant, ...] | None = None
    secret: ObservedSecret | None = None
    configured: Configured | None = None


_NOTHING = Inventoried()


@dataclass(frozen=True)
class ObservedAccess:
    """Everything that the checks compare with the desired state of one access.

    `secret_keys` are the keys that encrypt the current version of the secret. If the key of the access is not one of them,
    `moved_grants` are the grants on those keys, or None if KMS denies listing them. `former_grants` are the grants on the key
    that the access had before. `refused` are the actions that the reader role needs and that its policies do not allow,
    according to the IAM policy simulator.
    """

    key: ObservedKey
    key_policy: Document
    rotation_days: int | None
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


@dataclass(frozen=True)
class Parts:
    """The key and the secret of an access by their ARNs, each None if it does not exist."""

    key_arn: str
    secret_arn: str | None
    key: ObservedKey | None
    secret: ObservedSecret | None

    @property
    def missing(self) -> str | None:
        """The ARN of the first one that does not exist."""
        if self.key is None:
            return self.key_arn
        return self.secret_arn if self.secret is None else None


def read_parts(key_arn: str, secret_arn: str | None, clients: Clients, known: Inventoried = _NOTHING) -> Parts:
    """Reads whether the key and the secret of an access exist, unless an inventory contains them."""
    secret = known.secret or (find_secret(clients.secretsmanager, secret_arn) if secret_arn else None)
    return Parts(key_arn, secret_arn, known.key.key if known.key else find_key(clients.kms, key_arn), secret)


def read_access(
    desired: Desired, key_arn: str, secret_arn: str | None, former_key_arn: str | None, clients: Clients
) -> ObservedAccess:
    """Reads one access, each resource once. Raises AccessNotEffective if its key or its secret does not exist."""
    return read_rest(desired, read_parts(key_arn, secret_arn, clients), former_key_arn, clients)


def read_rest(
    desired: Desired, parts: Parts, former_key_arn: str | None, clients: Clients, known: Inventoried = _NOTHING
) -> ObservedAccess:
    """Reads everything else of an access, except what an inventory contains.

    Raises AccessNotEffective if its key or its secret does not exist.
    """
    kms, secretsmanager, iam = clients.kms, clients.secretsmanager, clients.iam
    key_arn, secret_arn, key, secret = parts.key_arn, parts.secret_arn, parts.key, parts.secret
    if key is None or parts.missing:
        raise AccessNotEffective(f"{parts.missing} does not exist")
    configuration = desired.system.configuration
    client = clients.client_for(configuration.service) if configuration else None
    configured = known.configured or (configuration.read(client, desired.resource) if configuration else None)
    wanted = desired.role(key_arn, secret_arn) if secret_arn else None
    role = find_role(iam, wanted.name) if wanted else None
    secret_keys = _keys_of(secret, clients) if secret else (key_arn,)
    return ObservedAccess(
        key=key,
        key_policy=known.key.policy if known.key else key_policy(kms, key_arn),
        rotation_days=known.key.rotation_days if known.key else rotation_days(kms, key_arn),
        secret=secret,
        secret_keys=secret_keys,
        secret_policy=all_secret_policies(secretsmanager, secret.arn) if secret and not secret.is_being_deleted else None,
        configured=configured,
        alerts=configuration.alerts(client, configured.arn) if configuration and configured else (),
        grants=list_grants(kms, key_arn).grants if known.grants is None else known.grants,
        former_grants=_grants_on({former_key_arn or key_arn} - {key_arn}, clients) or (),
        moved_grants=_grants_on(secret_keys, clients) if key_arn not in secret_keys else (),
        role=role,
        refused=tuple(_refused(role, desired, secret_keys, secret_arn, clients)) if role and secret_arn else (),
    )


def _keys_of(secret: ObservedSecret, clients: Clients) -> tuple[str, ...]:
    """The keys of the current version. For a secret that is scheduled for deletion, the key of the secret."""
    if secret.is_being_deleted:
        return (secret.kms_key_id or DEFAULT_KEY,)
    return current_keys(secret, clients.kms, clients.secretsmanager)


def _refused(role: ObservedRole, desired: Desired, keys: tuple[str, ...], secret_arn: str, clients: Clients) -> list[str]:
    """The actions that the role needs and lacks: to read the secret, and to decrypt it with one of its keys."""
    reader = desired.system.reader
    actions = reader.secret_actions if isinstance(reader, AssumedRole) else ()
    context = {
        "kms:ViaService": f"secretsmanager.{desired.place.region}.amazonaws.com",
        "kms:EncryptionContext:SecretARN": secret_arn,
    }
    read = (secret_arn, *desired.resource.other_secret_arns)
    refused = [action for arn in read for action in refused_actions(clients.iam, role.arn, actions, arn)]
    # The default key allows every principal that is allowed to read the secret.
    decrypting = [refused_actions(clients.iam, role.arn, ("kms:Decrypt",), key, context) for key in keys if key != DEFAULT_KEY]
    return refused + min(decrypting, key=len, default=[])


def _grants_on(keys: Iterable[str], clients: Clients) -> tuple[Grant, ...] | None:
    """The grants on these keys, none if a key does not exist, or None if KMS denies listing them."""
    try:
        return tuple(grant for key in keys if key != DEFAULT_KEY for grant in list_grants(clients.kms, key).grants)
    except ClientError as error:
        if is_missing(error):
            return ()
        if is_refused(error):
            return None
        raise
