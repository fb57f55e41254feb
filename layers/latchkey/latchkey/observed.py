"""Reads AWS: what is true of a key, a secret and a resource. Complete or it raises."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from latchkey.aws import ClientOf, is_missing, is_refused
from latchkey.desired import REQUEST
from latchkey.errors import AccessNotEffective
from latchkey.grants import Grant, list_grants
from latchkey.policies import Document
from latchkey.roles import POLICY_NAME
from latchkey.simulation import refused_actions
from latchkey.systems.readers import AssumedRole

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_kms.type_defs import KeyMetadataTypeDef
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

    from latchkey.desired import Desired
    from latchkey.systems.system import Configured


# So a version under aws/secretsmanager tells its key.
DEFAULT_KEY = "DefaultEncryptionKey"


@dataclass(frozen=True)
class ObservedKey:
    """A KMS key as DescribeKey and ListResourceTags tell it."""

    arn: str
    state: str
    spec: str
    usage: str
    origin: str
    multi_region: bool
    customer_managed: bool
    created: datetime
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def encrypts_symmetrically(self) -> bool:
        return self.spec == "SYMMETRIC_DEFAULT" and self.usage == "ENCRYPT_DECRYPT"


@dataclass(frozen=True)
class ObservedSecret:
    """A secret as DescribeSecret tells it; `kms_key_id` is None under the default key, else as it was associated."""

    arn: str
    name: str
    kms_key_id: str | None
    is_being_deleted: bool
    owning_service: str | None
    tags: dict[str, str]


@dataclass(frozen=True)
class ObservedRole:
    """A role as IAM tells it; `policy` is our inline policy, `others` are the names of all its other policies."""

    arn: str
    created: datetime
    trust: Document
    policy: Document | None
    boundary_arn: str | None
    others: tuple[str, ...]
    tags: dict[str, str]


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


def find_key(kms: KMSClient, key: str) -> ObservedKey | None:
    """The key of an ARN or alias with its tags, or None if there is none."""
    try:
        metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return observed_key(metadata, _tags_of_key(kms, metadata) if metadata.get("KeyManager") == "CUSTOMER" else {})


def find_key_by_tags(kms: KMSClient, request_id: str) -> ObservedKey | None:
    """The enabled key that a request made, by a look at every key's tags: for the rare case that nothing else names it.

    A key whose owner lets nobody look at it is none that Latchkey made.
    """
    entries = (entry for page in kms.get_paginator("list_keys").paginate() for entry in page["Keys"])
    keys = (_find_readable_key(kms, entry["KeyArn"]) for entry in entries)
    return next((key for key in keys if key and key.state == "Enabled" and key.tags.get(REQUEST) == request_id), None)


def _find_readable_key(kms: KMSClient, key: str) -> ObservedKey | None:
    try:
        return find_key(kms, key)
    except ClientError as error:
        if is_refused(error):
            return None
        raise


def _tags_of_key(kms: KMSClient, metadata: KeyMetadataTypeDef) -> dict[str, str]:
    pages = kms.get_paginator("list_resource_tags").paginate(KeyId=metadata["Arn"])
    return {tag["TagKey"]: tag["TagValue"] for page in pages for tag in page.get("Tags", [])}


def observed_key(metadata: KeyMetadataTypeDef, tags: dict[str, str]) -> ObservedKey:
    """A key from what CreateKey or DescribeKey answers."""
    return ObservedKey(
        arn=metadata["Arn"],
        state=metadata["KeyState"],
        spec=metadata.get("KeySpec", ""),
        usage=metadata.get("KeyUsage", ""),
        origin=metadata.get("Origin", ""),
        multi_region=metadata.get("MultiRegion", False),
        customer_managed=metadata.get("KeyManager") == "CUSTOMER",
        created=metadata["CreationDate"],
        tags=tags,
    )


def key_policy(kms: KMSClient, key_arn: str) -> Document:
    """The key's one policy. https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html"""
    document: Document = json.loads(kms.get_key_policy(KeyId=key_arn, PolicyName="default")["Policy"])
    return document


def find_secret(secretsmanager: SecretsManagerClient, secret: str) -> ObservedSecret | None:
    """The secret of an ARN or name, one that is being deleted included, or None if there is none."""
    try:
        found = secretsmanager.describe_secret(SecretId=secret)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return ObservedSecret(
        arn=found["ARN"],
        name=found["Name"],
        kms_key_id=found.get("KmsKeyId"),
        is_being_deleted="DeletedDate" in found,
        owning_service=found.get("OwningService"),
        tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
    )


def current_keys(secret: ObservedSecret, kms: KMSClient, secretsmanager: SecretsManagerClient) -> tuple[str, ...]:
    """The keys that encrypt the current version, by ARN, the secret's first if it is one; alone that, if none is told.

    Versions follow a secret to another key only if whoever moved it could decrypt them.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_update-encryption-key.html
    """
    # Versions without a label are left out, and there are at most twenty labels: one page.
    versions = secretsmanager.list_secret_version_ids(SecretId=secret.arn).get("Versions", [])
    current = [version for version in versions if "AWSCURRENT" in version.get("VersionStages", [])]
    own = _key_arn(kms, secret.kms_key_id or DEFAULT_KEY)
    told = [_key_arn(kms, key) for version in current for key in version.get("KmsKeyIds", [])]
    return tuple(sorted(told, key=lambda key: key != own)) or (own,)


def _key_arn(kms: KMSClient, key_id: str) -> str:
    """A secret and its versions tell a key as it was associated: by ARN, id or alias; the default key by a name."""
    if ":key/" in key_id or key_id == DEFAULT_KEY:
        return key_id
    key = find_key(kms, key_id)
    return key.arn if key else key_id


def secret_policy(secretsmanager: SecretsManagerClient, secret_arn: str) -> Document | None:
    """The secret's resource policy, or None if it has none."""
    policy = secretsmanager.get_resource_policy(SecretId=secret_arn).get("ResourcePolicy")
    return json.loads(policy) if policy else None


def find_role(iam: IAMClient, name: str) -> ObservedRole | None:
    """The role of a name with its policies, or None if there is none. boto3 decodes the documents."""
    try:
        found = iam.get_role(RoleName=name)["Role"]
        pages = iam.get_paginator("list_role_policies").paginate(RoleName=name)
        inline = [policy for page in pages for policy in page["PolicyNames"]]
        attached = iam.get_paginator("list_attached_role_policies").paginate(RoleName=name)
        others = [policy["PolicyArn"] for page in attached for policy in page.get("AttachedPolicies", [])]
        policy = iam.get_role_policy(RoleName=name, PolicyName=POLICY_NAME)["PolicyDocument"] if POLICY_NAME in inline else None
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return ObservedRole(
        arn=found["Arn"],
        created=found["CreateDate"],
        trust=cast("Document", found.get("AssumeRolePolicyDocument", {})),
        policy=cast("Document | None", policy),
        boundary_arn=found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        others=(*(name for name in inline if name != POLICY_NAME), *others),
        tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
    )


def observe_access(
    desired: Desired,
    key_arn: str,
    secret_arn: str | None,
    former_key_arn: str | None,
    *,
    kms: KMSClient,
    secretsmanager: SecretsManagerClient,
    iam: IAMClient,
    client_of: ClientOf,
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
