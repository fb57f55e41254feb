"""KMS grants: whose they are, and the decision to revoke one. All but the listing is pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

from latchkey.policies import without_suffix
from latchkey.settings import Place

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


def serves(grant: Grant, name: str, secret_arn: str, resource_arn: str) -> bool:
    """Is it the grant by which the resource reads this secret? The name must be equal, since `a` is a prefix of `a-b`.

    A person may make a grant that differs in its grantee alone, and so may the service in another Region.
    """
    is_a_service = grant.grantee is None or _is_of_service(grant)
    is_here = _region_of(grant) in (None, resource_arn.split(":")[3])
    return is_a_service and is_here and resembles(grant, name, secret_arn, resource_arn)


def resembles(grant: Grant, name: str, secret_arn: str, resource_arn: str) -> bool:
    """Is it such a grant but for its grantee? Then nobody can tell whether the resource reads by it."""
    bound = grant.secret_arn == secret_arn or grant.source_arn == resource_arn
    return grant.name == name and bound and "Decrypt" in grant.operations


def _is_of_service(grant: Grant) -> bool:
    return grant.grantee is not None and grant.grantee.endswith(".amazonaws.com")


def _region_of(grant: Grant) -> str | None:
    """The Region in the name of the service to which a grant is given, if its name holds one."""
    regional = _REGIONAL.fullmatch(grant.grantee or "")
    return regional[1] if regional else None


Kind = Literal["of a service", "of a person", "of another account", "of a deleted principal", "of nobody known"]
Verdict = Literal["in use", "orphaned", "suspect", "foreign"]

_REGIONAL = re.compile(r"[^.]+\.([^.]+)\.amazonaws\.com")
_DELETED = re.compile(r"A(ROA|IDA)[A-Z0-9]+")


@dataclass(frozen=True)
class Owner:
    """The resource for which a service makes its grant, and the name it gives that grant."""

    grant_name: str
    resource_arn: str


@dataclass(frozen=True)
class OwnerSight:
    """What one look at an owner found: whether it certainly exists or certainly does not, and the secret it names."""

    exists: bool
    secret_arn: str | None
    evidence: str


@dataclass(frozen=True)
class SecretSight:
    """What one look at a secret found. `admits`: some Allow of its policy, named in `statements`, could admit the service.

    `arn` is its own: who names a secret may leave out the suffix.
    """

    exists: bool
    admits: bool
    key_arn: str | None
    evidence: str
    statements: tuple[str, ...] = ()
    arn: str | None = None


@dataclass(frozen=True)
class Sight:
    """One look at an owner, the secrets concerned by ARN, and every grant of its keys; `at` by the clock of KMS.

    Complete but for the `unreadable` keys, of which nothing is known, and for the secrets that are missing.
    """

    at: datetime
    owner: OwnerSight
    secrets: Mapping[str, SecretSight]
    grants: Sequence[Grant]
    unreadable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Finding:
    """What one look says of one grant, why, and from which reads."""

    grant: Grant
    verdict: Verdict
    reason: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """Whether to revoke a grant, why, and the reads of both looks that justify it."""

    revoke: bool
    reason: str
    evidence: tuple[str, ...]


def kind_of(grant: Grant, place: Place) -> Kind:
    """Whom a grant is given to. Which principal a service uses is not documented, so any service counts as one.

    https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
    """
    if _is_of_service(grant):
        return "of a service"
    grantee = grant.grantee or ""
    if _DELETED.fullmatch(grantee):
        return "of a deleted principal"
    account = grantee.split(":")[4] if grantee.count(":") >= 5 else grantee
    if not re.fullmatch(r"\d{12}", account):
        return "of nobody known"
    return "of a person" if account == place.account else "of another account"


def judge(grant: Grant, owner: Owner, sight: Sight, place: Place) -> Finding:
    """What one look says of a grant. A name alone proves nothing: people may choose it, and `a` is a prefix of `a-b`.

    One that is bound as the service's would be is kept and reported, whoever its grantee is.
    """
    if grant.name != owner.grant_name:
        return Finding(grant, "foreign", "it has another name")
    kind = kind_of(grant, place)
    if kind != "of a service":
        is_bound = grant.secret_arn is not None or grant.source_arn == owner.resource_arn
        return Finding(grant, "suspect" if is_bound or kind == "of nobody known" else "foreign", f"it is {kind}")
    if _region_of(grant) not in (None, place.region):
        return Finding(grant, "suspect", f"it is of a service in {_region_of(grant)}")
    if grant.source_arn is not None and grant.source_arn != owner.resource_arn:
        return Finding(grant, "suspect", f"it is bound to {grant.source_arn}")
    if grant.source_arn is None and grant.secret_arn is None:
        return Finding(grant, "suspect", "it is bound to no secret and no resource")
    return _judge_bound(grant, owner, sight)


def _judge_bound(grant: Grant, owner: Owner, sight: Sight) -> Finding:
    """The grant is this owner's: does the owner exist, name its secret, and does that still admit the service?"""
    named = sight.owner.secret_arn
    if not sight.owner.exists or named is None:
        reason = "its source location sends no token" if sight.owner.exists else "its source location is absent"
        return Finding(grant, "orphaned", reason, (sight.owner.evidence,))
    secret = sight.secrets.get(named)
    if secret is None:
        if is_another_secret(grant.secret_arn, named):
            return Finding(grant, "orphaned", "its source location names another secret", (sight.owner.evidence,))
        return Finding(grant, "suspect", "its secret could not be read", (sight.owner.evidence,))
    verdict, reason = _judge_secret(grant, owner, sight, secret, secret.arn or named)
    return Finding(grant, verdict, reason, (sight.owner.evidence, secret.evidence))


def names_secret(named: str | None, arn: str) -> bool:
    """Does a source location that names this name the secret of an ARN? It may leave out the suffix."""
    return named in (arn, without_suffix(arn))


def is_another_secret(bound: str | None, named: str) -> bool:
    """Is the ARN that a source location names that of another secret than a grant's?"""
    return bound is not None and ":secret:" in named and not names_secret(named, bound)


def is_past(bound: str | None, sight: Sight) -> bool:
    """Does the owner name a secret by now that a grant bound to this one cannot be for?"""
    named = sight.owner.secret_arn
    secret = sight.secrets.get(named or "")
    return named is not None and is_another_secret(bound, secret.arn if secret and secret.arn else named)


def is_by_secret(reason: str) -> bool:
    """Was a grant orphaned by its secret, which was taken away from a living owner, rather than by the owner?"""
    return reason.startswith("its secret ")


def _judge_secret(grant: Grant, owner: Owner, sight: Sight, secret: SecretSight, arn: str) -> tuple[Verdict, str]:
    """`arn` is the secret's own: a source location may name it without the suffix, a grant never does."""
    if grant.secret_arn not in (None, arn):
        return "orphaned", "its source location names another secret"
    if not secret.exists:
        return "orphaned", "its secret is absent or being deleted"
    if not secret.admits:
        return "orphaned", "its secret admits the service no longer"
    if secret.key_arn == grant.key_arn:
        return "in use", "its source location lives and its secret admits the service"
    there = [other for other in sight.grants if other.key_arn == secret.key_arn and _is_of_service(other)]
    if any(serves(other, owner.grant_name, arn, owner.resource_arn) for other in there):
        return "orphaned", "its secret is under another key, which has a grant of its own"
    why = "whose grants could not be read" if secret.key_arn in sight.unreadable else "which has no grant yet"
    return "suspect", f"its secret is under another key, {why}"


def is_served(owner: Owner, sight: Sight, key_arn: str, bound: str | None) -> bool | None:
    """Has the owner a grant instead of one on this key that was bound to this secret, or to none? None if it needs none."""
    named = sight.owner.secret_arn
    secret = sight.secrets.get(named) if named else None
    if named is None or secret is None or not secret.exists or not secret.admits or secret.key_arn != key_arn:
        return None
    if is_past(bound, sight):
        return None
    names = (owner.grant_name, secret.arn or named, owner.resource_arn)
    return any(grant.key_arn == key_arn and serves(grant, *names) for grant in sight.grants)


def decide(first: Finding | None, first_at: datetime, second: Finding, second_at: datetime, grace: timedelta) -> Decision:
    """Revokes only what two looks a grace period apart found orphaned, and what was there before the first of them.

    A grant that is younger may serve an owner that is only just being made: services make the grant first.
    """
    reads = (*(first.evidence if first else ()), *second.evidence)
    if second.verdict != "orphaned":
        return Decision(False, second.reason, reads)
    if first is None or first.verdict != "orphaned" or first.grant.grant_id != second.grant.grant_id:
        return Decision(False, "the first look did not find it orphaned", reads)
    if second.grant.created is None or second.grant.created >= first_at:
        return Decision(False, "it is not known to be older than the first look", reads)
    if second_at - first_at < grace:
        return Decision(False, "the looks are less than the grace period apart", reads)
    return Decision(True, second.reason, reads)
