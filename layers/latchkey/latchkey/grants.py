"""KMS grants and whom they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
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


def list_grants(kms: KMSClient, key_arn: str) -> tuple[Grant, ...]:
    """Every grant of a key; raises rather than returning a part. Pages may be short or empty without being the last."""
    pages = kms.get_paginator("list_grants").paginate(KeyId=key_arn)
    return tuple(_grant(key_arn, entry) for page in pages for entry in page.get("Grants", []))


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


def serves(grant: Grant, name: str, secret_arn: str, resource_arn: str) -> bool:
    """Is it the grant by which the resource reads this secret? The name must be equal, since `a` is a prefix of `a-b`."""
    bound = grant.secret_arn == secret_arn or grant.source_arn == resource_arn
    return grant.name == name and bound and "Decrypt" in grant.operations
