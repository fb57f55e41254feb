"""Secrets Manager secrets: metadata, keys and resource policy. Never values."""

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

# So a version under aws/secretsmanager tells its key.
DEFAULT_KEY = "DefaultEncryptionKey"


@dataclass(frozen=True)
class ObservedSecret:
    """A secret as DescribeSecret tells it; `kms_key_id` is None under the default key, else as it was associated."""

    arn: str
    name: str
    kms_key_id: str | None
    is_being_deleted: bool
    owning_service: str | None
    tags: dict[str, str]


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
