"""KMS grants: whose they are, and the decision to revoke one. All but the listing is pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from latchkey.access.grants import Owner, grantee_region, is_another_secret, is_service_grant, serves
from latchkey.aws.grants import Grant
from latchkey.place import Place

GranteeKind = Literal["of a service", "of a person", "of another account", "of a deleted principal", "of nobody known"]
Verdict = Literal["in use", "orphaned", "suspect", "foreign"]
_DELETED = re.compile(r"A(ROA|IDA)[A-Z0-9]+")


@dataclass(frozen=True)
class ResourceEvidence:
    """What one look at an owner found: whether it certainly exists or certainly does not, and the secret it names."""

    exists: bool
    secret_arn: str | None
    evidence: str


@dataclass(frozen=True)
class SecretEvidence:
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
class Evidence:
    """One look at an owner, the secrets concerned by ARN, and every grant of its keys; `at` by the clock of KMS.

    Complete but for the `unreadable` keys, of which nothing is known, and for the secrets that are missing.
    """

    at: datetime
    owner: ResourceEvidence
    secrets: Mapping[str, SecretEvidence]
    grants: Sequence[Grant]
    unreadable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Assessment:
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


def grantee_kind(grant: Grant, place: Place) -> GranteeKind:
    """Whom a grant is given to. Which principal a service uses is not documented, so any service counts as one.

    https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
    """
    if is_service_grant(grant):
        return "of a service"
    grantee = grant.grantee or ""
    if _DELETED.fullmatch(grantee):
        return "of a deleted principal"
    account = grantee.split(":")[4] if grantee.count(":") >= 5 else grantee
    if not re.fullmatch(r"\d{12}", account):
        return "of nobody known"
    return "of a person" if account == place.account else "of another account"


def assess(grant: Grant, owner: Owner, sight: Evidence, place: Place) -> Assessment:
    """What one look says of a grant. A name alone proves nothing: people may choose it, and `a` is a prefix of `a-b`.

    One that is bound as the service's would be is kept and reported, whoever its grantee is.
    """
    if grant.name != owner.grant_name:
        return Assessment(grant, "foreign", "it has another name")
    kind = grantee_kind(grant, place)
    if kind != "of a service":
        is_bound = grant.secret_arn is not None or grant.source_arn == owner.resource_arn
        return Assessment(grant, "suspect" if is_bound or kind == "of nobody known" else "foreign", f"it is {kind}")
    if grantee_region(grant) not in (None, place.region):
        return Assessment(grant, "suspect", f"it is of a service in {grantee_region(grant)}")
    if grant.source_arn is not None and grant.source_arn != owner.resource_arn:
        return Assessment(grant, "suspect", f"it is bound to {grant.source_arn}")
    if grant.source_arn is None and grant.secret_arn is None:
        return Assessment(grant, "suspect", "it is bound to no secret and no resource")
    return _assess_bound(grant, owner, sight)


def _assess_bound(grant: Grant, owner: Owner, sight: Evidence) -> Assessment:
    """The grant is this owner's: does the owner exist, name its secret, and does that still admit the service?"""
    named = sight.owner.secret_arn
    if not sight.owner.exists or named is None:
        reason = "its source location sends no token" if sight.owner.exists else "its source location is absent"
        return Assessment(grant, "orphaned", reason, (sight.owner.evidence,))
    secret = sight.secrets.get(named)
    if secret is None:
        if is_another_secret(grant.secret_arn, named):
            return Assessment(grant, "orphaned", "its source location names another secret", (sight.owner.evidence,))
        return Assessment(grant, "suspect", "its secret could not be read", (sight.owner.evidence,))
    verdict, reason = _assess_secret(grant, owner, sight, secret, secret.arn or named)
    return Assessment(grant, verdict, reason, (sight.owner.evidence, secret.evidence))


def is_past(bound: str | None, sight: Evidence) -> bool:
    """Does the owner name a secret by now that a grant bound to this one cannot be for?"""
    named = sight.owner.secret_arn
    secret = sight.secrets.get(named or "")
    return named is not None and is_another_secret(bound, secret.arn if secret and secret.arn else named)


def is_by_secret(reason: str) -> bool:
    """Was a grant orphaned by its secret, which was taken away from a living owner, rather than by the owner?"""
    return reason.startswith("its secret ")


def _assess_secret(grant: Grant, owner: Owner, sight: Evidence, secret: SecretEvidence, arn: str) -> tuple[Verdict, str]:
    """`arn` is the secret's own: a source location may name it without the suffix, a grant never does."""
    if grant.secret_arn not in (None, arn):
        return "orphaned", "its source location names another secret"
    if not secret.exists:
        return "orphaned", "its secret is absent or being deleted"
    if not secret.admits:
        return "orphaned", "its secret admits the service no longer"
    if secret.key_arn == grant.key_arn:
        return "in use", "its source location lives and its secret admits the service"
    there = [other for other in sight.grants if other.key_arn == secret.key_arn and is_service_grant(other)]
    if any(serves(other, owner.grant_name, arn, owner.resource_arn) for other in there):
        return "orphaned", "its secret is under another key, which has a grant of its own"
    why = "whose grants could not be read" if secret.key_arn in sight.unreadable else "which has no grant yet"
    return "suspect", f"its secret is under another key, {why}"


def is_served(owner: Owner, sight: Evidence, key_arn: str, bound: str | None) -> bool | None:
    """Has the owner a grant instead of one on this key that was bound to this secret, or to none? None if it needs none."""
    named = sight.owner.secret_arn
    secret = sight.secrets.get(named) if named else None
    if named is None or secret is None or not secret.exists or not secret.admits or secret.key_arn != key_arn:
        return None
    if is_past(bound, sight):
        return None
    names = (owner.grant_name, secret.arn or named, owner.resource_arn)
    return any(grant.key_arn == key_arn and serves(grant, *names) for grant in sight.grants)


def decide(first: Assessment | None, first_at: datetime, second: Assessment, second_at: datetime, grace: timedelta) -> Decision:
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
