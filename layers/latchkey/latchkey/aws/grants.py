"""KMS grants as ListGrants returns them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from latchkey.aws.pages import read_pages

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_kms.type_defs import GrantListEntryTypeDef


@dataclass(frozen=True)
class Grant:
    """One grant in the response of ListGrants, in which every member except the IDs can be missing.

    The grant of a service is constrained to one secret (`secret_arn`, from the encryption context) or to the resource that it
    serves (`source_arn`). https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
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
    """All grants on a key. `at` is the time of the first response, in whole seconds, by the clock of KMS if it is known."""

    grants: tuple[Grant, ...]
    at: datetime


def list_grants(kms: KMSClient, key_arn: str, names: Collection[str] | None = None) -> Listing:
    """All grants on a key, or an error. With `names`, only those with one of these names are kept.

    A page can be short or empty without being the last one.
    """
    pages = read_pages(kms.list_grants, KeyId=key_arn, Limit=100)
    grants: list[Grant] = []
    dates = []
    # Page by page, because a key can have 50,000 grants.
    for page in pages:
        found = (_grant(key_arn, entry) for entry in page.get("Grants", []))
        grants += (grant for grant in found if names is None or grant.name in names)
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
