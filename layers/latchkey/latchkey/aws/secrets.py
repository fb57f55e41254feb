"""Secrets Manager secrets: metadata, keys and resource policy, but never values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from latchkey.aws.errors import code_of, is_missing
from latchkey.aws.keys import find_key
from latchkey.aws.pages import read_pages
from latchkey.policies import Document, new_document
from latchkey.policies.document import statements_of

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import DescribeSecretResponseTypeDef, SecretListEntryTypeDef

# The staging labels: https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html#term_version
CURRENT, PREVIOUS, PENDING = "AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"
# The key ID of a version that is encrypted with aws/secretsmanager.
DEFAULT_KEY = "DefaultEncryptionKey"
# The first is the code of the protocol: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization
# The second one is common to all services: https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html
_UNKNOWN_OPERATION = ("UnknownOperationException", "InvalidAction")
# Secrets Manager usually omits the default key, but a person can name it by its alias or ARN.
_DEFAULT_ALIAS = "alias/aws/secretsmanager"


@dataclass(frozen=True)
class Replica:
    """A replica of a secret in another Region. `status` is InSync, InProgress or Failed.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ReplicationStatusType.html
    """

    region: str
    status: str
    message: str = ""


@dataclass(frozen=True)
class ObservedSecret:
    """A secret as DescribeSecret returns it.

    `kms_key_id` is None for the default key. Otherwise, it is the ARN, ID or alias that was associated with the secret.
    `changed` is the time of the last change, and `stages` are the labels of each version that has any. `primary_region` is the
    Region of the primary secret if it is replicated. `is_rotated`: Secrets Manager rotates it. DescribeSecret returns the
    rotation function even after automatic rotation was turned off, so the function proves nothing.
    """

    arn: str
    name: str
    kms_key_id: str | None
    is_being_deleted: bool
    owning_service: str | None
    tags: dict[str, str]
    changed: datetime | None = None
    stages: Mapping[str, Sequence[str]] = field(default_factory=dict)
    primary_region: str | None = None
    is_rotated: bool = False
    # Not compared: the status of a replica changes on its own.
    replicas: tuple[Replica, ...] = field(default=(), compare=False)

    def version(self, label: str) -> str | None:
        """The ID of the version with a staging label, or None."""
        return next((version for version, labels in self.stages.items() if label in labels), None)

    @property
    def pending(self) -> str | None:
        """The version that waits to become the current one. After a rotation, the current version can keep the label.

        https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html
        """
        version = self.version(PENDING)
        return None if version == self.version(CURRENT) else version

    @property
    def has_value(self) -> bool:
        """Whether the secret has a current version. A secret can be created without a value."""
        return self.version(CURRENT) is not None

    @property
    def replica_of(self) -> str | None:
        """The Region of the primary secret if this one is its replica, which cannot be changed on its own.

        https://docs.aws.amazon.com/secretsmanager/latest/userguide/create-manage-multi-region-secrets.html
        """
        return None if self.primary_region in (None, self.arn.split(":")[3]) else self.primary_region


def name_of_secret(secret_arn: str) -> str:
    """The name in the ARN of a secret, which ends in a hyphen and six random characters."""
    return secret_arn.split(":", 6)[6][: -len("-abcdef")]


def find_secret(secretsmanager: SecretsManagerClient, secret: str) -> ObservedSecret | None:
    """The secret with this ARN or name, or None if it does not exist. A secret that is scheduled for deletion exists."""
    try:
        found = secretsmanager.describe_secret(SecretId=secret)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return _observed(found)


def list_secrets(secretsmanager: SecretsManagerClient, *, include_planned_deletion: bool = True) -> Iterator[ObservedSecret]:
    """All secrets of the account in the Region. This includes secrets scheduled for deletion, which can be restored.

    Secrets Manager can omit a secret that was created in the last five minutes:
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html
    """
    pages = read_pages(secretsmanager.list_secrets, IncludePlannedDeletion=include_planned_deletion, MaxResults=100)
    return (_observed(entry) for page in pages for entry in page["SecretList"])


def _observed(found: DescribeSecretResponseTypeDef | SecretListEntryTypeDef) -> ObservedSecret:
    stages = cast("Mapping[str, Sequence[str]]", found.get("VersionIdsToStages", found.get("SecretVersionsToStages", {})))
    return ObservedSecret(
        arn=found["ARN"],
        name=found["Name"],
        kms_key_id=None if str(found.get("KmsKeyId", "")).endswith(_DEFAULT_ALIAS) else found.get("KmsKeyId"),
        is_being_deleted="DeletedDate" in found,
        owning_service=found.get("OwningService"),
        tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
        changed=found.get("LastChangedDate") or found.get("CreatedDate"),
        primary_region=found.get("PrimaryRegion"),
        is_rotated=bool(found.get("RotationEnabled")),
        replicas=_replicas(found.get("ReplicationStatus", ())),
        # In order, so that two reads of an unchanged secret are equal.
        stages={version: sorted(labels) for version, labels in stages.items()},
    )


def _replicas(found: Any) -> tuple[Replica, ...]:
    """The replicas by Region. ListSecrets returns none."""
    replicas = (Replica(one["Region"], one.get("Status", ""), one.get("StatusMessage", "")) for one in found)
    return tuple(sorted(replicas, key=lambda one: one.region))


def current_keys(secret: ObservedSecret, kms: KMSClient, secretsmanager: SecretsManagerClient) -> tuple[str, ...]:
    """The ARNs of the keys that encrypt the current version, or of the secret's key if no version is returned.

    If the secret's key is one of them, it comes first. When a secret moves to another key, its versions move only if the caller
    can decrypt them.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_update-encryption-key.html
    """
    pages = read_pages(secretsmanager.list_secret_version_ids, SecretId=secret.arn)
    versions = [version for page in pages for version in page.get("Versions", [])]
    current = [version for version in versions if "AWSCURRENT" in version.get("VersionStages", [])]
    own = _key_arn(kms, secret.kms_key_id or DEFAULT_KEY)
    keys = [_key_arn(kms, key) for version in current for key in version.get("KmsKeyIds", [])]
    return tuple(sorted(keys, key=lambda key: key != own)) or (own,)


def version_keys(secretsmanager: SecretsManagerClient, secret_arn: str) -> tuple[frozenset[str], ...]:
    """The keys that encrypt each version of a secret, as Secrets Manager names them, including versions without a label.

    Any key of a version decrypts it: when a secret moves to another key, the copies under the former key remain.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_update-encryption-key.html
    """
    pages = read_pages(secretsmanager.list_secret_version_ids, SecretId=secret_arn, IncludeDeprecated=True)
    return tuple(frozenset(version.get("KmsKeyIds", [])) for page in pages for version in page.get("Versions", []))


def _key_arn(kms: KMSClient, key_id: str) -> str:
    """The ARN of the key with this ARN, ID or alias. The default key has no ARN here, only a name."""
    if ":key/" in key_id or key_id == DEFAULT_KEY:
        return key_id
    key = find_key(kms, key_id)
    return key.arn if key else key_id


def secret_policy(secretsmanager: SecretsManagerClient, secret_arn: str) -> Document | None:
    """The only resource policy of the secret that can be written, or None if the secret has none."""
    return _policy(secretsmanager, SecretId=secret_arn)


def all_secret_policies(secretsmanager: SecretsManagerClient, secret_arn: str) -> Document | None:
    """The statements of all resource policies of the secret as one document, or None if the secret has none.

    PutResourcePolicy can write only the policy `default`, but a secret can have others. Where Secrets Manager does not have the
    operation that lists them, a secret has no other policy.
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutResourcePolicy.html
    """
    try:
        # The type stubs are those of the pinned SDK.
        pages = [*read_pages(secretsmanager.list_resource_policies, SecretId=secret_arn)]  # type: ignore[attr-defined]
    except ClientError as error:
        if code_of(error) not in _UNKNOWN_OPERATION:
            raise
        return secret_policy(secretsmanager, secret_arn)
    names = [policy["PolicyName"] for page in pages for policy in page["ResourcePolicies"]]
    found = [document for name in names if (document := _named_policy(secretsmanager, secret_arn, name))]
    return new_document(statement for document in found for statement in statements_of(document)) if found else None


def _named_policy(secretsmanager: SecretsManagerClient, secret_arn: str, name: str) -> Document | None:
    try:
        return _policy(secretsmanager, SecretId=secret_arn, PolicyName=name)
    except ClientError as error:
        if is_missing(error):
            return None  # removed since it was listed
        raise


def _policy(secretsmanager: Any, **named: str) -> Document | None:
    policy = secretsmanager.get_resource_policy(**named).get("ResourcePolicy")
    return json.loads(policy) if policy else None
