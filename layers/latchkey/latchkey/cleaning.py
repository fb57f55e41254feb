"""Cleans up the grants of one access: a first look, and a grace period later a second one that revokes what is orphaned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from latchkey.accesses import Subject, subject_of
from latchkey.documents import Document
from latchkey.errors import NotYetEffective
from latchkey.grants import Finding, Grant, Sight, Verdict, decide, judge, serves
from latchkey.looking import Looking
from latchkey.registry import Registry
from latchkey.revocations import Revocation, Revocations
from latchkey.settings import Settings


class FoundGrant(Document):
    """What a look says of one grant that bears the name of the owner."""

    grant_id: str
    key_arn: str
    verdict: Verdict
    reason: str
    evidence: tuple[str, ...]


class Look(Document):
    """The first look. `orphaned`: some grant may have to go."""

    access_id: str
    at: datetime
    owner_exists: bool
    owner_evidence: str
    grants: tuple[FoundGrant, ...]
    orphaned: bool
    grace_seconds: int


class RemovedGrant(Document):
    """A grant that is gone. `service`: it was gone before Latchkey set out to revoke it; `either`: it cannot be told."""

    grant_id: str | None
    key_arn: str
    removed_by: Literal["latchkey", "service", "either"]
    reason: str
    evidence: tuple[str, ...]
    removed_at: datetime


class KeptGrant(Document):
    """A grant that stays, and why."""

    grant_id: str
    key_arn: str
    reason: str


class CleanedUp(Document):
    """What became of the grants. `restored`: an owner that came back in the moment KMS leaves open was set again."""

    removed: tuple[RemovedGrant, ...] = ()
    kept: tuple[KeptGrant, ...] = ()
    restored: bool = False


@dataclass(frozen=True)
class Cleaning:
    """Doing it twice equals doing it once; what may be revoked is noted first, so that a crash loses nothing."""

    settings: Settings
    registry: Registry
    revocations: Revocations
    looking: Looking

    def look(self, access_id: str, keys: Iterable[str] = ()) -> Look:
        """The first look at every grant of an access, on the keys the registry knows and on others; changes nothing."""
        subject = subject_of(access_id, self.settings.place)
        sight = self.looking.look(subject, {*self.registry.grant_keys(access_id), *keys})
        named = [grant for grant in sight.grants if grant.name == subject.owner.grant_name]
        findings = [judge(grant, subject.owner, sight, self.settings.place) for grant in named]
        orphaned = any(finding.verdict == "orphaned" for finding in findings) or bool(self.revocations.open(access_id))
        return Look(
            accessId=access_id,
            at=sight.at,
            ownerExists=sight.owner.exists,
            grants=tuple(_found(finding) for finding in findings),
            ownerEvidence=sight.owner.evidence,
            orphaned=orphaned,
            graceSeconds=self.settings.grace_seconds,
        )

    def clean_up(self, first: Look) -> CleanedUp:
        """The second look and what it allows. Raises NotYetEffective while a grant that was revoked is still listed."""
        subject = subject_of(first.access_id, self.settings.place)
        for grant in first.grants:
            if grant.verdict == "orphaned":
                self.revocations.note(first.access_id, grant.grant_id, grant.key_arn)
        results = [self._treat(subject, first, noted) for noted in self.revocations.open(first.access_id)]
        self._forget_former_keys(subject, first.access_id)
        return CleanedUp(
            removed=tuple(removed for removed, _, _ in results if removed),
            kept=tuple(kept for _, kept, _ in results if kept),
            restored=any(restored for _, _, restored in results),
        )

    def _treat(self, subject: Subject, first: Look, noted: Revocation) -> tuple[RemovedGrant | None, KeptGrant | None, bool]:
        """One grant: removed or kept, and whether its owner had to be set again."""
        # What takes long is read first: between the list of grants and the revocation stands one read of the owner.
        listed = self.looking.listed(subject.system)
        named = listed.get(subject.name)
        secrets = {named: self.looking.secret(subject, named)} if named else {}
        keys = {noted.key_arn, *(secret.key_arn for secret in secrets.values() if secret.key_arn)}
        self.revocations.begin(noted)
        at, grants = self.looking.grants(keys)
        grant = _of_id(grants, noted.grant_id)
        evidence: tuple[str, ...] = ()
        if grant is not None:
            sight = Sight(at, self.looking.owner(subject, listed), secrets, grants)
            second = judge(grant, subject.owner, sight, self.settings.place)
            seen = next((seen for seen in first.grants if seen.grant_id == noted.grant_id), None)
            grace = timedelta(seconds=self.settings.grace_seconds)
            decision = decide(_finding(seen, grant), first.at, second, at, grace)
            if not decision.revoke:
                kept = KeptGrant(grantId=noted.grant_id, keyArn=noted.key_arn, reason=decision.reason)
                self.revocations.end(noted, kept)
                return None, kept, False
            self.looking.revoke(grant)
            evidence = decision.evidence
        restored = (grant is not None or noted.tries > 0) and self._restore(subject, noted, listed)
        if grant is not None:
            self.revocations.confirm(noted)
            if _of_id(self.looking.grants([noted.key_arn])[1], noted.grant_id):
                raise NotYetEffective(f"{noted.grant_id} was revoked and is still listed")
        removed = _removed(noted, grant is not None, first, evidence)
        self.revocations.end(noted, removed)
        return removed, None, restored

    def _restore(self, subject: Subject, noted: Revocation, listed: Mapping[str, str | None]) -> bool:
        """Sets an owner again that came back while its grant was revoked, which KMS cannot exclude; that makes a new grant."""
        owner = self.looking.owner(subject, listed)
        if not owner.exists or owner.secret_arn is None:
            return False
        secret = self.looking.secret(subject, owner.secret_arn)
        _, grants = self.looking.grants([noted.key_arn])
        needs = secret.exists and secret.admits and secret.key_arn == noted.key_arn
        names = (subject.owner.grant_name, owner.secret_arn, subject.owner.resource_arn)
        if not needs or any(serves(grant, *names) for grant in grants if grant.grant_id != noted.grant_id):
            return False
        self.looking.set_again(subject)
        return True

    def _forget_former_keys(self, subject: Subject, access_id: str) -> None:
        record = self.registry.access(access_id)
        current = {record.key_arn} if record else set()
        for key in self.registry.grant_keys(access_id) - current:
            _, grants = self.looking.grants([key])
            if not any(grant.name == subject.owner.grant_name for grant in grants):
                self.registry.forget_grant_key(access_id, key)


def _of_id(grants: Iterable[Grant], grant_id: str) -> Grant | None:
    return next((grant for grant in grants if grant.grant_id == grant_id), None)


def _found(finding: Finding) -> FoundGrant:
    grant = finding.grant
    return FoundGrant(
        grantId=grant.grant_id,
        keyArn=grant.key_arn,
        verdict=finding.verdict,
        reason=finding.reason,
        evidence=finding.evidence,
    )


def _finding(seen: FoundGrant | None, grant: Grant) -> Finding | None:
    return Finding(grant, seen.verdict, seen.reason, seen.evidence) if seen else None


def _removed(noted: Revocation, revoked: bool, first: Look, evidence: tuple[str, ...]) -> RemovedGrant:
    seen = next((seen for seen in first.grants if seen.grant_id == noted.grant_id), None)
    if revoked or noted.revoked:
        by: Literal["latchkey", "service", "either"] = "latchkey"
    else:
        by = "either" if noted.tries else "service"
    return RemovedGrant(
        grantId=noted.grant_id,
        keyArn=noted.key_arn,
        removedBy=by,
        reason=seen.reason if seen else "it had been noted as orphaned",
        evidence=evidence or (seen.evidence if seen else ()),
        removedAt=datetime.now(UTC),
    )
