"""Cleans up the grants of one access: a first look, and a grace period later a second one that revokes what is orphaned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

from pydantic import Field, TypeAdapter

from latchkey.access.grants import GrantedResource, granted_resource
from latchkey.access.record import has_grants
from latchkey.aws.errors import aws_errors
from latchkey.aws.grants import Grant
from latchkey.cleanup.survey import Surveyor
from latchkey.cleanup.verdict import Assessment, Decision, Evidence, Verdict, assess, decide, is_by_secret, is_past, is_served
from latchkey.errors import AccessDenied, LatchkeyError, NotYetEffective
from latchkey.events.cleanup import KeptGrant, RemovedGrant
from latchkey.registry import Registry
from latchkey.registry.revocations import Revocation, Revocations
from latchkey.settings import Settings
from latchkey.wire import WireModel


class SurveyedGrant(WireModel):
    """What a look says of one grant that bears the name of the owner."""

    grant_id: str
    key_arn: str
    verdict: Verdict
    reason: str
    evidence: tuple[str, ...]
    secret_arn: str | None = None


class GrantSurvey(WireModel):
    """The first look. `orphaned`: some grant may have to go; `lookId` marks what ends by it in the registry.

    `deprived`: the owner lives without the grant that Latchkey took before the owner could be seen. `settled`: grants that it
    took, and instead of which the owner has had another grant or another secret for long. Of the `unreadable` keys nothing is
    known.
    """

    look_id: str = Field(default_factory=lambda: uuid4().hex)
    access_id: str
    at: datetime
    owner_exists: bool = False
    owner_evidence: str = "its service makes no grants"
    grants: tuple[SurveyedGrant, ...] = ()
    orphaned: bool = False
    deprived: bool = False
    settled: tuple[str, ...] = ()
    grace_seconds: int
    unreadable: tuple[str, ...] = ()

    def grant(self, grant_id: str) -> SurveyedGrant | None:
        """What the look says of a grant, if it saw that."""
        return next((seen for seen in self.grants if seen.grant_id == grant_id), None)


class CleanedUp(WireModel):
    """What became of the grants. `restored`: an owner that came back in the moment KMS leaves open was set again."""

    removed: tuple[RemovedGrant, ...] = ()
    kept: tuple[KeptGrant, ...] = ()
    restored: bool = False


@dataclass(frozen=True)
class GrantCleanup:
    """Doing it twice equals doing it once; what may be revoked is noted first, so that a crash loses nothing."""

    settings: Settings
    registry: Registry
    looking: Surveyor

    def look(self, access_id: str, keys: Iterable[str] = ()) -> GrantSurvey:
        """The first look at every grant of an access, on the keys the registry knows and on others; changes nothing."""
        if not has_grants(access_id):
            return GrantSurvey(accessId=access_id, at=datetime.now(UTC), graceSeconds=self.settings.grace_seconds)
        subject = granted_resource(access_id, self.settings.place)
        opened, taken = self.registry.revocations.open(access_id), self.registry.revocations.taken(access_id)
        known = self.registry.journal.grant_keys(access_id) | {one.key_arn for one in (*opened, *taken)}
        looked_at = known.union(keys)
        sight = self.looking.look(subject, looked_at - self.registry.resources.exclusive_keys(looked_at))
        named = [grant for grant in sight.grants if grant.name == subject.owner.grant_name]
        findings = [assess(grant, subject.owner, sight, self.settings.place) for grant in named]
        served = {one: is_served(subject.owner, sight, one.key_arn, one.secret_arn) for one in taken}
        over = [one for one in taken if served[one] or is_past(one.secret_arn, sight)]
        return GrantSurvey(
            accessId=access_id,
            at=sight.at,
            ownerExists=sight.owner.exists,
            grants=tuple(_found(finding) for finding in findings),
            ownerEvidence=sight.owner.evidence,
            orphaned=bool(opened) or any(finding.verdict == "orphaned" for finding in findings),
            deprived=False in served.values(),
            settled=tuple(one.grant_id for one in over if one.is_listed_no_longer(sight.at)),
            graceSeconds=self.settings.grace_seconds,
            unreadable=tuple(sorted(sight.unreadable)),
        )

    def clean_up(self, first: GrantSurvey) -> CleanedUp:
        """The second look and what it allows. Raises NotYetEffective while a grant that was revoked is still listed.

        A grant that fails does not hold up the others. A retry tells what ended before it as well.
        """
        subject = granted_resource(first.access_id, self.settings.place)
        for grant in first.grants:
            if grant.verdict == "orphaned":
                noted = Revocation(first.access_id, grant.grant_id, grant.key_arn, grant.reason, grant.secret_arn)
                self.registry.revocations.note(noted, first.look_id, first.at)
        opened = self.registry.revocations.open(first.access_id)
        failures = [self._failure(partial(self._treat, subject, first, noted)) for noted in opened]
        taken = self.registry.revocations.taken(first.access_id)
        for one in taken:
            if one.grant_id in first.settled and one.is_listed_no_longer(first.at):
                self.registry.revocations.settle(one)
        if first.deprived:
            failures += [self._failure(partial(self._restore, subject, one, first)) for one in taken]
        self._forget_former_keys(subject, first.access_id)
        # A refusal is retried less often than what only takes its time.
        for failure in sorted(filter(None, failures), key=lambda failure: isinstance(failure, AccessDenied)):
            raise failure
        return ended_by(first, self.registry.revocations)

    def _failure(self, treat: Callable[[], object]) -> LatchkeyError | None:
        """Treats one grant; returns what went wrong."""
        try:
            with aws_errors():
                treat()
        except LatchkeyError as error:
            return error
        return None

    def _treat(self, subject: GrantedResource, first: GrantSurvey, noted: Revocation) -> None:
        """One grant is removed or kept, and its owner set again if that came back meanwhile."""
        if self.registry.resources.exclusive_keys([noted.key_arn]):  # since the first look
            self._end_kept(noted, first, "its key serves a partner, whose grants nobody touches")
            return
        # What takes long is read first: between the list of grants and the revocation stands one read of the owner.
        listed = self.looking.listed(subject.system)
        secrets = self.looking.secrets(subject, listed.get(subject.name))
        begun = self.registry.revocations.begin(noted)
        if begun is None:
            return
        at, grants = self.looking.grants([noted.key_arn])
        grant = None if begun.vanished else _of_id(grants, noted.grant_id)
        if grant is None:
            if begun.tries > 1:
                begun = self._restore(subject, begun, first, listed)
            seen = first.grant(noted.grant_id)
            self._end_removed(begun, first, seen.evidence if seen else ())
            return
        beside = self.looking.grants_beside(subject, secrets, grants)
        sight = Evidence(at, self.looking.owner(subject, listed), secrets, grants + beside.grants, beside.unreadable)
        self._carry_out(subject, first, begun, grant, self._decide(subject, first, grant, sight), listed)

    def _decide(self, subject: GrantedResource, first: GrantSurvey, grant: Grant, sight: Evidence) -> Decision:
        second = assess(grant, subject.owner, sight, self.settings.place)
        grace = timedelta(seconds=self.settings.grace_seconds)
        return decide(_finding(first.grant(grant.grant_id), grant), first.at, second, sight.at, grace)

    def _carry_out(
        self,
        subject: GrantedResource,
        first: GrantSurvey,
        begun: Revocation,
        grant: Grant,
        decision: Decision,
        listed: Mapping[str, str | None],
    ) -> None:
        """Revokes a grant or keeps it. Raises NotYetEffective while it is listed though it was revoked."""
        if decision.revoke:
            begun = self._revoke(grant, begun)
        # An earlier try, or another execution, may have revoked what is listed still.
        if decision.revoke or begun.tries > 1:
            begun = self._restore(subject, begun, first, listed)
        if not begun.revoked:
            self._end_kept(begun, first, decision.reason)
            return
        if not begun.vanished and _of_id(self.looking.grants([begun.key_arn])[1], begun.grant_id):
            raise NotYetEffective(f"{begun.grant_id} was revoked and is still listed")
        self._end_removed(begun, first, decision.evidence)

    def _revoke(self, grant: Grant, noted: Revocation) -> Revocation:
        try:
            with aws_errors():
                self.looking.revoke(grant)
        except AccessDenied:
            self.registry.revocations.take_back(noted)
            raise
        self.registry.revocations.confirm(noted)
        return replace(noted, revoked=True)

    def _restore(
        self, subject: GrantedResource, noted: Revocation, first: GrantSurvey, listed: Mapping[str, str | None] | None = None
    ) -> Revocation:
        """Sets an owner again that lives without the grant that was revoked, which KMS cannot exclude; that makes a new grant.

        Raises NotYetEffective until that is listed, since KMS may answer with the one that is going, and if the owner
        is changed meanwhile.
        """
        owner = self.looking.owner(subject, listed)
        secrets = self.looking.secrets(subject, owner.secret_arn)
        at, grants = self.looking.grants([noted.key_arn])
        if not noted.vanished and _of_id(grants, noted.grant_id) is None:
            self.registry.revocations.note_vanished(noted)
            noted = replace(noted, vanished=True)
        sight = Evidence(at, owner, secrets, _without(noted, grants))
        if owner.secret_arn and not secrets and not is_past(noted.secret_arn, sight):
            raise AccessDenied(f"{owner.secret_arn} may not be read, so that nobody knows whether its grant is needed")
        if is_served(subject.owner, sight, noted.key_arn, noted.secret_arn) is not False:
            return noted
        self.registry.revocations.note_restoring(noted, first.look_id)
        if not self.looking.set_again(subject, owner.secret_arn):
            raise NotYetEffective(f"{subject.owner.resource_arn} was changed just before it was to be set again")
        at, grants = self.looking.grants([noted.key_arn])
        sight = replace(sight, at=at, grants=_without(noted, grants))
        served = is_served(subject.owner, sight, noted.key_arn, noted.secret_arn)
        # Of a revocation whose answer was lost nobody knows whether the grant is going at all.
        if not served and (noted.vanished or noted.revoked):
            raise NotYetEffective(f"{subject.owner.resource_arn} was set again and has no grant yet")
        return noted

    def _end_kept(self, noted: Revocation, first: GrantSurvey, reason: str) -> None:
        kept = KeptGrant(grantId=noted.grant_id, keyArn=noted.key_arn, reason=reason)
        self.registry.revocations.end(noted, first.look_id, kept, gone=False, taken=_is_taken(noted))

    def _end_removed(self, noted: Revocation, first: GrantSurvey, evidence: tuple[str, ...]) -> None:
        """The grant is gone: by whom, as far as it can be told, counting what other executions did meanwhile."""
        now = self.registry.revocations.read(noted)
        removed = RemovedGrant(
            grantId=noted.grant_id,
            keyArn=noted.key_arn,
            removedBy="latchkey" if now.revoked else "either" if now.tries > 1 else "service",
            reason=noted.reason,
            evidence=evidence,
            removedAt=datetime.now(UTC),
        )
        self.registry.revocations.end(noted, first.look_id, removed, gone=True, taken=_is_taken(now))

    def _forget_former_keys(self, subject: GrantedResource, access_id: str) -> None:
        record = self.registry.accesses.get(access_id)
        current = {record.key_arn} if record else set()
        for key in self.registry.journal.grant_keys(access_id) - current:
            found = self.looking.readable_grants([key])
            if not found.unreadable and not any(grant.name == subject.owner.grant_name for grant in found.grants):
                self.registry.journal.forget_grant_key(access_id, key)


_OUTCOME: TypeAdapter[RemovedGrant | KeptGrant] = TypeAdapter(RemovedGrant | KeptGrant)


def ended_by(look: GrantSurvey, revocations: Revocations) -> CleanedUp:
    """What became of the grants of a look, as far as its execution came."""
    ended = revocations.ended(look.access_id, look.look_id)
    outcomes = [_OUTCOME.validate_json(outcome) for outcome in ended.outcomes]
    return CleanedUp(
        removed=tuple(outcome for outcome in outcomes if isinstance(outcome, RemovedGrant)),
        kept=tuple(outcome for outcome in outcomes if isinstance(outcome, KeptGrant)),
        restored=ended.restored,
    )


def _is_taken(noted: Revocation) -> bool:
    """Did Latchkey take the grant, or may it have? What a secret's owner took away is for that owner to give back."""
    return (noted.revoked or noted.tries > 1) and not is_by_secret(noted.reason)


def _of_id(grants: Iterable[Grant], grant_id: str) -> Grant | None:
    return next((grant for grant in grants if grant.grant_id == grant_id), None)


def _without(noted: Revocation, grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """These grants without the one that is going."""
    return tuple(grant for grant in grants if noted.vanished or grant.grant_id != noted.grant_id)


def _found(finding: Assessment) -> SurveyedGrant:
    grant = finding.grant
    return SurveyedGrant(
        grantId=grant.grant_id,
        keyArn=grant.key_arn,
        verdict=finding.verdict,
        reason=finding.reason,
        evidence=finding.evidence,
        secretArn=grant.secret_arn,
    )


def _finding(seen: SurveyedGrant | None, grant: Grant) -> Assessment | None:
    return Assessment(grant, seen.verdict, seen.reason, seen.evidence) if seen else None
