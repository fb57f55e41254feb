"""Secrets Manager secrets: metadata, keys and resource policy, but never values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from latchkey.aws.errors import is_missing
from latchkey.aws.keys import find_key
from latchkey.policies import Document

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

# The key ID of a version that is encrypted with aws/secretsmanager.
DEFAULT_KEY = "DefaultEncryptionKey"


@dataclass(frozen=True)
class ObservedSecret:
    """A secret as DescribeSecret returns it.

    `kms_key_id` is None for the default key. Otherwise, it is the ARN, ID or alias that was associated with the secret.
    """

    arn: str
    name: str
    kms_key_id: str | None
    is_being_deleted: bool
    owning_service: str | None
    tags: dict[str, str]


def find_secret(secretsmanager: SecretsManagerClient, secret: str) -> ObservedSecret | None:
    """The secret with this ARN or name, or None if it does not exist. A secret that is scheduled for deletion exists."""
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
    """The ARNs of the keys that encrypt the current version, or of the secret's key if no version is returned.

    If the secret's key is one of them, it comes first. When a secret moves to another key, its versions move only if the caller
    can decrypt them.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_update-encryption-key.html
    """
    # One page is enough: only versions with a staging label are returned, and a secret has at most twenty labels.
    versions = secretsmanager.list_secret_version_ids(SecretId=secret.arn).get("Versions", [])
    current = [version for version in versions if "AWSCURRENT" in version.get("VersionStages", [])]
    own = _key_arn(kms, secret.kms_key_id or DEFAULT_KEY)
    keys = [_key_arn(kms, key) for version in current for key in version.get("KmsKeyIds", [])]
    return tuple(sorted(keys, key=lambda key: key != own)) or (own,)


def _key_arn(kms: KMSClient, key_id: str) -> str:
    """The ARN of the key with this ARN, ID or alias. The default key has no ARN here, only a name."""
    if ":key/" in key_id or key_id == DEFAULT_KEY:
        return key_id
    key = find_key(kms, key_id)
    return key.arn if key else key_id


def secret_policy(secretsmanager: SecretsManagerClient, secret_arn: str) -> Document | None:
    """The secret's resource policy, or None if it has none."""
    policy = secretsmanager.get_resource_policy(SecretId=secret_arn).get("ResourcePolicy")
    return json.loads(policy) if policy else None
