"""KMS keys: metadata, tags and key policy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from latchkey.aws.errors import code_of, is_missing, is_refused
from latchkey.aws.pages import read_pages
from latchkey.policies import Document
from latchkey.tags import MANAGED_BY, OURS

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_kms.type_defs import KeyMetadataTypeDef


# Between the clocks of Lambda and KMS. KMS returns whole seconds.
_CLOCK_DIFFERENCE = timedelta(minutes=1)


@dataclass(frozen=True)
class ObservedKey:
    """A KMS key as DescribeKey and ListResourceTags return it."""

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
        """Whether Secrets Manager can use the key."""
        return self.spec == "SYMMETRIC_DEFAULT" and self.usage == "ENCRYPT_DECRYPT"


def find_key(kms: KMSClient, key: str) -> ObservedKey | None:
    """The key with this ARN, ID or alias, or None if it does not exist. Only customer managed keys are read with tags."""
    try:
        metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return observed_key(metadata, key_tags(kms, metadata["Arn"]) if metadata.get("KeyManager") == "CUSTOMER" else {})


def find_key_by_tags(kms: KMSClient, is_wanted: Callable[[Mapping[str, str]], bool], since: datetime) -> ObservedKey | None:
    """The enabled key without an alias that was created since a time and has wanted tags, or None.

    For a key whose CreateKey response was lost, so that it has no alias and no record. Anybody who can tag keys can set the
    tags, so a key that existed before the request called CreateKey is not the key of the request. Keys that Latchkey is not
    allowed to read are skipped, because Latchkey can read the keys that it created.

    An account can have 100,000 keys in a Region. A page of ListKeys has up to 1,000, and one of ListAliases up to 100. Other
    calls are made only for keys without an alias.
    """
    aliased = {entry.get("TargetKeyId") for page in read_pages(kms.list_aliases) for entry in page["Aliases"]}
    unaliased = (arn for arn in list_keys(kms) if arn.rpartition("/")[2] not in aliased)
    keys = (_find_readable_key(kms, arn, since - _CLOCK_DIFFERENCE) for arn in unaliased)
    return next((key for key in keys if key and key.tags.get(MANAGED_BY) == OURS and is_wanted(key.tags)), None)


def list_keys(kms: KMSClient) -> Iterator[str]:
    """The ARNs of all keys of the account in the Region."""
    return (entry["KeyArn"] for page in read_pages(kms.list_keys) for entry in page["Keys"])


def list_aliases(kms: KMSClient, key_arn: str) -> tuple[str, ...]:
    """The names of all aliases of a key, including those that somebody else created."""
    pages = read_pages(kms.list_aliases, KeyId=key_arn)
    return tuple(sorted(alias["AliasName"] for page in pages for alias in page["Aliases"]))


def aliases_by_key(kms: KMSClient) -> dict[str, tuple[str, ...]]:
    """The names of all aliases in the Region by the ID of the key that each one names."""
    found: dict[str, tuple[str, ...]] = {}
    for page in read_pages(kms.list_aliases, Limit=100):
        for alias in page["Aliases"]:
            key_id = alias.get("TargetKeyId", "")
            found[key_id] = tuple(sorted([*found.get(key_id, ()), alias["AliasName"]]))
    return found


def alias_target(kms: KMSClient, alias: str) -> str | None:
    """The ID of the key that an alias names, or None if there is no such alias. Reads the aliases of all keys."""
    pages = read_pages(kms.list_aliases)
    return next((one.get("TargetKeyId") for page in pages for one in page["Aliases"] if one["AliasName"] == alias), None)


def _find_readable_key(kms: KMSClient, key_arn: str, since: datetime) -> ObservedKey | None:
    """The key if it is enabled, was created since a time, and can be read."""
    try:
        metadata = kms.describe_key(KeyId=key_arn)["KeyMetadata"]
        if metadata["KeyState"] != "Enabled" or metadata["CreationDate"] <= since:
            return None
        return observed_key(metadata, key_tags(kms, metadata["Arn"]))
    except ClientError as error:
        if is_refused(error) or is_missing(error):
            return None
        raise


def key_tags(kms: KMSClient, key_arn: str) -> dict[str, str]:
    """The tags of a key."""
    pages = read_pages(kms.list_resource_tags, KeyId=key_arn)
    return {tag["TagKey"]: tag["TagValue"] for page in pages for tag in page.get("Tags", [])}


def observed_key(metadata: KeyMetadataTypeDef, tags: dict[str, str]) -> ObservedKey:
    """A key from the metadata that CreateKey or DescribeKey returns."""
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


# The period of a key for which none was chosen: https://docs.aws.amazon.com/kms/latest/APIReference/API_EnableKeyRotation.html
_USUAL_ROTATION_DAYS = 365


def rotation_days(kms: KMSClient, key_arn: str) -> int | None:
    """The period of automatic rotation in days; None if it is off, as for imported key material and in custom key stores.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyRotationStatus.html
    """
    try:
        status = kms.get_key_rotation_status(KeyId=key_arn)
    except ClientError as error:
        if code_of(error) == "UnsupportedOperationException":
            return None
        raise
    return status.get("RotationPeriodInDays", _USUAL_ROTATION_DAYS) if status["KeyRotationEnabled"] else None


def key_policy(kms: KMSClient, key_arn: str) -> Document:
    """The key policy; a key has exactly one, named default. https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html"""
    document: Document = json.loads(kms.get_key_policy(KeyId=key_arn, PolicyName="default")["Policy"])
    return document
