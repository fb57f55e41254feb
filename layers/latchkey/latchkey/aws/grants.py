"""KMS grants as ListGrants returns them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_kms.type_defs import GrantListEntryTypeDef


@dataclass(frozen=True)
class Grant:
    """One grant as KMS lists it. Any member of the listing may be absent, so all but the ids are optional.

    A service's grant is bound to one secret (`secret_arn`, the encryption context) or, in the form of 2026, to the resource
    it serves (`source_arn`). https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
    """

    grant_id: str
    key_arn: str
    name: str | None
    grantee: str | None
    operations: frozenset[str]
    secret_arn: str | None
    source_arn: str | None
    created: datetime | None


@dataclass(frozen=True)
class Listing:
    """Every grant of a key; `at` is when the listing began, in whole seconds, by the clock of KMS if that tells it."""

    grants: tuple[Grant, ...]
    at: datetime


def list_grants(kms: KMSClient, key_arn: str) -> Listing:
    """Lists a key's grants; raises rather than returning a part. Pages may be short or empty without being the last."""
    pages = kms.get_paginator("list_grants").paginate(KeyId=key_arn, PaginationConfig={"PageSize": 100})
    grants: list[Grant] = []
    dates = []
    # Page by page: there may be 50,000 grants on a key.
    for page in pages:
        grants += (_grant(key_arn, entry) for entry in page.get("Grants", []))
        dates.append(page.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))
    at = parsedate_to_datetime(dates[0]) if dates[0] else datetime.now(UTC).replace(microsecond=0)
    return Listing(tuple(grants), at)


def _grant(key_arn: str, entry: GrantListEntryTypeDef) -> Grant:
    constraints = entry.get("Constraints", {})
    context = constraints.get("EncryptionContextSubset") or constraints.get("EncryptionContextEquals") or {}
    return Grant(
        grant_id=entry["GrantId"],
        key_arn=key_arn,
        name=entry.get("Name"),
        grantee=entry.get("GranteePrincipal") or entry.get("GranteeServicePrincipal"),
        operations=frozenset(entry.get("Operations", [])),
        secret_arn=context.get("SecretARN"),
        source_arn=constraints.get("SourceArn"),
        created=entry.get("CreationDate"),
    )
