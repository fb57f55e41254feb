"""The decision about one grant. Pure: evidence in, verdict out."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Literal

from latchkey.access.grants import (
    GrantedResource,
    grantee_region,
    is_another_secret,
    is_service_grant,
    serves,
)
from latchkey.aws.grants import Grant
from latchkey.place import Place
from latchkey.wire import WireModel

GranteeKind = Literal["of a service", "of a person", "of another account", "of a deleted principal", "of nobody known"]
Verdict = Literal["in use", "orphaned", "suspect", "foreign"]

# In characters. Together with MOST_GRANTS, it keeps outputs below the limit of 256 KiB in Step Functions and EventBridge.
LONGEST_EVIDENCE = 500
_DELETED_PRINCIPAL = re.compile(r"A(ROA|IDA)[A-Z0-9]+")


class Reason(Enum):
    """Why a grant got its verdict, as people read it in events and in the registry."""

    OTHER_NAME = "the grant has another name"
    NOT_A_SERVICE = "the grantee is {detail}"
    OTHER_REGION = "the grantee is the service in {detail}"
    OTHER_RESOURCE = "the grant is constrained to {detail}"
    UNCONSTRAINED = "the grant is constrained to no secret and no resource"
    SECRET_UNREADABLE = "the secret could not be read"
    KEY_WITHOUT_GRANT = "the secret is encrypted with another key, on which the service has no grant yet"
    KEY_UNREADABLE = "the secret is encrypted with another key, whose grants could not be read"
    IN_USE = "the source location exists and its secret allows the service"
    RESOURCE_GONE = "the source location does not exist"
    NO_TOKEN = "the source location sends no token"
    OTHER_SECRET = "the source location uses another secret"
    SECRET_GONE = "the secret does not exist or is scheduled for deletion"
    SERVICE_NOT_ALLOWED = "the resource policy of the secret no longer allows the service"
    MOVED = "the secret is encrypted with another key, on which the service has a grant"
    NOT_ORPHANED_BEFORE = "the first survey did not find the grant orphaned"
    TOO_YOUNG = "the grant cannot be shown to be older than the first survey"
    WITHIN_GRACE = "the two surveys are less than the grace period apart"
    PARTNER_KEY = "the key serves a partner, whose grants are never revoked"

    def text(self, detail: str = "") -> str:
        """The reason as a sentence."""
        return self.value.format(detail=detail)


_BY_SECRET = frozenset(reason.value for reason in (Reason.SECRET_GONE, Reason.SERVICE_NOT_ALLOWED, Reason.MOVED))


def is_revoked_by_secret(reason: str) -> bool:
    """Whether a recorded reason says that the secret was taken away from a resource that still exists.

    Items that were written before version 0.2.0 begin with "its secret".
    """
    return reason in _BY_SECRET or reason.startswith("its secret ")


@dataclass(frozen=True)
class ResourceEvidence:
    """Whether a resource certainly exists or certainly does not, and the secret it is configured with."""

    exists: bool
    secret_arn: str | None
    evidence: str


@dataclass(frozen=True)
class SecretEvidence:
    """What was read about a secret. `admits`: an Allow in its policy, named in `statements`, could apply to the service.

    `arn` is the full ARN of the secret: a resource can be configured with an ARN that lacks the random suffix.
    """

    exists: bool
    admits: bool
    key_arn: str | None
    evidence: str
    statements: tuple[str, ...] = ()
    arn: str | None = None


@dataclass(frozen=True)
class Evidence:
    """One survey: a resource, the secrets by the ARN the resource is configured with, and every grant on the keys.

    `at` is the time of the survey by the clock of KMS. Nothing is known about `unreadable` keys and missing secrets.
    """

    at: datetime
    resource: ResourceEvidence
    secrets: Mapping[str, SecretEvidence]
    grants: Sequence[Grant]
    unreadable: frozenset[str] = frozenset()


class Assessment(WireModel):
    """The verdict on one grant in one survey, with the reads that justify it."""

    grant_id: str
    key_arn: str
    verdict: Verdict
    reason: str
    evidence: tuple[str, ...] = ()
    secret_arn: str | None = None


@dataclass(frozen=True)
class Decision:
    """Whether to revoke a grant, why, and the reads of both surveys that justify it."""

    revoke: bool
    reason: str
    evidence: tuple[str, ...]


def grantee_kind(grant: Grant, place: Place, grantees: Collection[str]) -> GranteeKind:
    """The kind of principal a grant is given to. Any AWS service counts as the service, and so does one of `grantees`.

    KMS does not document which principal a service uses as grantee:
    https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
    """
    if is_service_grant(grant, grantees):
        return "of a service"
    grantee = grant.grantee or ""
    if _DELETED_PRINCIPAL.fullmatch(grantee):
        return "of a deleted principal"
    account = grantee.split(":")[4] if grantee.count(":") >= 5 else grantee
    if not re.fullmatch(r"\d{12}", account):
        return "of nobody known"
    return "of a person" if account == place.account else "of another account"


def assess(grant: Grant, resource: GrantedResource, evidence: Evidence, place: Place) -> Assessment:
    """The verdict of one survey on one grant.

    A name proves nothing: people can choose it, and `a` is a prefix of `a-b`. A grant with the service's constraint and an
    unexpected grantee is kept and reported as suspect.
    """
    if grant.name != resource.grant_name:
        return _assessment(grant, "foreign", Reason.OTHER_NAME)
    kind = grantee_kind(grant, place, resource.grantees)
    if kind != "of a service":
        is_constrained = grant.secret_arn is not None or grant.source_arn == resource.resource_arn
        verdict: Verdict = "suspect" if is_constrained or kind == "of nobody known" else "foreign"
        named = f", {grant.grantee}" if verdict == "suspect" and grant.grantee else ""
        return _assessment(grant, verdict, Reason.NOT_A_SERVICE, detail=_GRANTEES[kind] + named)
    if grantee_region(grant) not in (None, place.region):
        return _assessment(grant, "suspect", Reason.OTHER_REGION, detail=grantee_region(grant) or "")
    if grant.source_arn is not None and grant.source_arn != resource.resource_arn:
        return _assessment(grant, "suspect", Reason.OTHER_RESOURCE, detail=grant.source_arn)
    if grant.source_arn is None and grant.secret_arn is None:
        return _assessment(grant, "suspect", Reason.UNCONSTRAINED)
    return _assess_constrained(grant, resource, evidence)


_GRANTEES: Mapping[GranteeKind, str] = {
    "of a person": "a principal of this account",
    "of another account": "a principal of another account",
    "of a deleted principal": "a deleted principal",
    "of nobody known": "unknown",
}


def shortened(text: str) -> str:
    """The text, truncated if necessary: evidence can quote long policies, and the output of a state is limited."""
    return text if len(text) <= LONGEST_EVIDENCE else f"{text[: LONGEST_EVIDENCE - 3]}..."


def _assessment(
    grant: Grant, verdict: Verdict, reason: Reason, evidence: tuple[str, ...] = (), *, detail: str = ""
) -> Assessment:
    return Assessment(
        grantId=grant.grant_id,
        keyArn=grant.key_arn,
        verdict=verdict,
        reason=reason.text(detail),
        evidence=tuple(map(shortened, evidence)),
        secretArn=grant.secret_arn,
    )


def _assess_constrained(grant: Grant, resource: GrantedResource, evidence: Evidence) -> Assessment:
    """A grant of this resource: does the resource exist, use the secret, and does the secret still allow the service?"""
    configured, read = evidence.resource.secret_arn, (evidence.resource.evidence,)
    if not evidence.resource.exists:
        return _assessment(grant, "orphaned", Reason.RESOURCE_GONE, read)
    if configured is None:
        return _assessment(grant, "orphaned", Reason.NO_TOKEN, read)
    secret = evidence.secrets.get(configured)
    if secret is None:
        if is_another_secret(grant.secret_arn, configured):
            return _assessment(grant, "orphaned", Reason.OTHER_SECRET, read)
        return _assessment(grant, "suspect", Reason.SECRET_UNREADABLE, read)
    verdict, reason = _judge_secret(grant, resource, evidence, secret, secret.arn or configured)
    return _assessment(grant, verdict, reason, (*read, secret.evidence))


def _judge_secret(
    grant: Grant, resource: GrantedResource, evidence: Evidence, secret: SecretEvidence, secret_arn: str
) -> tuple[Verdict, Reason]:
    """`secret_arn` is the full ARN: a grant's constraint always contains it, a source location can omit the suffix."""
    if grant.secret_arn not in (None, secret_arn):
        return "orphaned", Reason.OTHER_SECRET
    if not secret.exists:
        return "orphaned", Reason.SECRET_GONE
    if not secret.admits:
        return "orphaned", Reason.SERVICE_NOT_ALLOWED
    if secret.key_arn == grant.key_arn:
        return "in use", Reason.IN_USE
    on_key = (other for other in evidence.grants if other.key_arn == secret.key_arn)
    there = [other for other in on_key if is_service_grant(other, resource.grantees)]
    if any(serves(other, resource.grant_for(secret_arn)) for other in there):
        return "orphaned", Reason.MOVED
    return "suspect", Reason.KEY_UNREADABLE if secret.key_arn in evidence.unreadable else Reason.KEY_WITHOUT_GRANT


def uses_another_secret(constraint: str | None, evidence: Evidence) -> bool:
    """Whether the resource is now configured with a secret that a grant with this constraint cannot be for."""
    configured = evidence.resource.secret_arn
    secret = evidence.secrets.get(configured or "")
    return configured is not None and is_another_secret(constraint, secret.arn if secret and secret.arn else configured)


def is_served(resource: GrantedResource, evidence: Evidence, key_arn: str, constraint: str | None) -> bool | None:
    """Whether the resource has a grant that replaces one on this key with this constraint. None if it needs none."""
    configured = evidence.resource.secret_arn
    secret = evidence.secrets.get(configured) if configured else None
    if configured is None or secret is None or not secret.exists or not secret.admits or secret.key_arn != key_arn:
        return None
    if uses_another_secret(constraint, evidence):
        return None
    expected = resource.grant_for(secret.arn or configured)
    return any(grant.key_arn == key_arn and serves(grant, expected) for grant in evidence.grants)


@dataclass(frozen=True)
class Surveys:
    """When the two surveys were made, and how far apart they must be."""

    first_at: datetime
    second_at: datetime
    grace: timedelta


def decide(first: Assessment | None, second: Assessment, created: datetime | None, surveys: Surveys) -> Decision:
    """Revokes a grant only if two surveys, one grace period apart, both found it orphaned and it is older than the first.

    A younger grant can belong to a resource that is just being created: services create the grant before the resource.
    """
    reads = (*(first.evidence if first else ()), *second.evidence)
    if second.verdict != "orphaned":
        return Decision(False, second.reason, reads)
    if first is None or first.verdict != "orphaned" or first.grant_id != second.grant_id:
        return Decision(False, Reason.NOT_ORPHANED_BEFORE.text(), reads)
    if created is None or created >= surveys.first_at:
        return Decision(False, Reason.TOO_YOUNG.text(), reads)
    if surveys.second_at - surveys.first_at < surveys.grace:
        return Decision(False, Reason.WITHIN_GRACE.text(), reads)
    return Decision(True, second.reason, reads)
