"""Cleans up the grants of one access: a first survey, and one grace period later a second one that revokes orphaned grants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError
from pydantic import Field, TypeAdapter

from latchkey.access.grants import GrantedResource, granted_resource
from latchkey.access.record import has_grants
from latchkey.aws.clients import ClientFor
from latchkey.aws.errors import aws_errors, code_of, is_missing, status_of, translate
from latchkey.aws.grants import Grant
from latchkey.cleanup.survey import Surveyor
from latchkey.cleanup.verdict import (
    Assessment,
    Decision,
    Evidence,
    Reason,
    Surveys,
    Verdict,
    assess,
    decide,
    is_revoked_by_secret,
    is_served,
    shortened,
    uses_another_secret,
)
from latchkey.errors import AccessDenied, LatchkeyError, NotYetEffective
from latchkey.events.cleanup import KeptGrant
from latchkey.events.outcomes import RemovedGrant
from latchkey.registry import Registry
from latchkey.registry.revocations import Revocation, Revocations
from latchkey.settings import Settings
from latchkey.systems.system import GrantedConfiguration
from latchkey.wire import WireModel

# The most grants that one survey returns and one cleanup processes. Anybody with kms:CreateGrant can add grants with the name
# of a resource, so their number is unlimited, while the output of a state is limited to 256 KiB:
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
MOST_GRANTS = 50
MOST_SETTLED = 200
MOST_UNREADABLE = 50
# In characters: a denial can name two ARNs of the greatest length.
LONGEST_MESSAGE = 4096


class GrantSurvey(WireModel):
    """The first survey.

    `lookId` identifies it in the registry. `grants` are at most MOST_GRANTS, orphaned ones first; `more` is the number of those
    left for the next survey. `named` is the number of grants that can belong to the resource, including suspect ones.
    `orphaned`: a grant may have to be revoked. `deprived`: the resource lacks a grant that Latchkey revoked before it could see
    the resource. `settled`: grants that Latchkey revoked and that the resource has long replaced. Nothing is known about
    `unreadable` keys.
    """

    survey_id: str = Field(alias="lookId", default_factory=lambda: uuid4().hex)
    access_id: str
    at: datetime
    resource_exists: bool = Field(alias="ownerExists", default=False)
    resource_evidence: str = Field(alias="ownerEvidence", default="the service creates no grants")
    grants: tuple[Assessment, ...] = ()
    more: int = 0
    named: int = 0
    orphaned: bool = False
    lacks_grant: bool = Field(alias="deprived", default=False)
    settled: tuple[str, ...] = ()
    grace_seconds: int
    unreadable: tuple[str, ...] = ()

    def grant(self, grant_id: str) -> Assessment | None:
        """The assessment of a grant, or None if the survey did not see it."""
        return next((grant for grant in self.grants if grant.grant_id == grant_id), None)


class CleanUpGrantsInput(WireModel):
    """The access, and keys by ARN in addition to those in the registry. `first` is the first survey, if it was made."""

    access_id: str
    keys: tuple[str, ...] = ()
    first: GrantSurvey | None = None


class CleanedUp(WireModel):
    """What became of the grants. `restored`: the resource was updated so that its service created a grant again."""

    removed: tuple[RemovedGrant, ...] = ()
    kept: tuple[KeptGrant, ...] = ()
    restored: bool = False


@dataclass(frozen=True)
class GrantCleanup:
    """Running it twice equals running it once: what may be revoked is recorded first, so that a crash loses nothing.

    `updating` returns the client for updates that replace all settings. It does not retry.
    """

    settings: Settings
    registry: Registry
    surveyor: Surveyor
    updating: ClientFor

    def survey(self, access_id: str, keys: Iterable[str] = ()) -> GrantSurvey:
        """The first survey: every grant of an access on the keys that the registry knows, and on further keys."""
        if not has_grants(access_id):
            return GrantSurvey(accessId=access_id, at=datetime.now(UTC), graceSeconds=self.settings.grace_seconds)
        resource = granted_resource(access_id, self.settings.place, self.settings.accepted_grantees)
        opened, revoked = self._revocations.open(access_id), self._revocations.revoked_by_us(access_id)
        known = self.registry.granted.of(access_id) | {one.key_arn for one in (*opened, *revoked)}
        surveyed = known.union(keys)
        evidence = self.surveyor.survey(resource, surveyed - self.registry.resources.exclusive_keys(surveyed))
        named = [grant for grant in evidence.grants if grant.name == resource.grant_name]
        assessments = [assess(grant, resource, evidence, self.settings.place) for grant in named]
        waiting = {one.grant_id for one in opened} | {one.grant_id for one in assessments if one.verdict == "orphaned"}
        served = {one: is_served(resource, evidence, one.key_arn, one.secret_arn) for one in revoked}
        replaced = [one for one in revoked if served[one] or uses_another_secret(one.secret_arn, evidence)]
        return GrantSurvey(
            accessId=access_id,
            at=evidence.at,
            ownerExists=evidence.resource.exists,
            ownerEvidence=shortened(evidence.resource.evidence),
            grants=_most_urgent(assessments, opened),
            more=max(len(waiting) - MOST_GRANTS, 0),
            named=sum(assessment.verdict != "foreign" for assessment in assessments),
            orphaned=bool(waiting),
            deprived=False in served.values() or any(one.altered_from is not None for one in revoked),
            settled=tuple(one.grant_id for one in replaced if one.is_no_longer_listed(evidence.at))[:MOST_SETTLED],
            graceSeconds=self.settings.grace_seconds,
            unreadable=tuple(sorted(evidence.unreadable))[:MOST_UNREADABLE],
        )

    def clean_up(self, first: GrantSurvey) -> CleanedUp:
        """The second survey, and the revocations that it allows.

        A failed revocation does not delay the others. A retry also reports what earlier attempts finished. At most MOST_GRANTS
        are finished; the next survey continues. Raises NotYetEffective while a revoked grant is still listed.
        """
        resource = granted_resource(first.access_id, self.settings.place, self.settings.accepted_grantees)
        for grant in first.grants:
            if grant.verdict == "orphaned":
                noted = Revocation(first.access_id, grant.grant_id, grant.key_arn, grant.reason, grant.secret_arn)
                self._revocations.note(noted, first.survey_id, first.at)
        seen = {grant.grant_id for grant in first.grants}
        opened = sorted(self._revocations.open(first.access_id), key=lambda one: (one.irrevocable, one.grant_id not in seen))
        left = MOST_GRANTS - len(self._revocations.ended(first.access_id, first.survey_id).outcomes)
        failures = [self._failure_of(noted, partial(self._treat, resource, first, noted)) for noted in opened[: max(left, 0)]]
        revoked = self._revocations.revoked_by_us(first.access_id)
        for one in revoked:
            if one.grant_id in first.settled and one.is_no_longer_listed(first.at):
                self._revocations.forget_revocation(one)
        if first.lacks_grant:
            failures += [self._failure(partial(self._renew_if_lacking, resource, one, first)) for one in revoked]
        self._forget_former_keys(resource, first.access_id)
        # Raised last: the state machine retries a denial less often than a grant that is still listed.
        for failure in sorted(filter(None, failures), key=lambda failure: isinstance(failure, AccessDenied)):
            raise failure
        return ended_by(first, self._revocations)

    @property
    def _revocations(self) -> Revocations:
        return self.registry.revocations

    def _failure_of(self, noted: Revocation, treat: Callable[[], object]) -> LatchkeyError | None:
        """Treats one grant and returns the error, if any, which is recorded for the report."""
        error = self._failure(treat)
        if error is not None:
            with suppress(LatchkeyError):
                self._revocations.note_failure(noted, type(error).__name__, str(error)[:LONGEST_MESSAGE])
        return error

    def _failure(self, treat: Callable[[], object]) -> LatchkeyError | None:
        """Treats one grant and returns the error, if any."""
        try:
            with aws_errors():
                treat()
        except LatchkeyError as error:
            return error
        return None

    def _treat(self, resource: GrantedResource, first: GrantSurvey, noted: Revocation) -> None:
        """Revokes or keeps one grant, and restores access if the resource came back in the meantime."""
        if self.registry.resources.exclusive_keys([noted.key_arn]):  # since the first survey
            self._end_kept(noted, first, Reason.PARTNER_KEY.text())
            return
        # Slow reads come first: only one read of the resource lies between the list of grants and the revocation.
        listed = self.surveyor.secrets_by_resource(resource.system)
        secrets = self.surveyor.secrets(resource, listed.get(resource.name))
        begun = self._revocations.begin(noted)
        if begun is None:
            return
        at, grants = self.surveyor.grants([noted.key_arn])
        grant = None if begun.unlisted else _of_id(grants, noted.grant_id)
        if grant is None:
            if begun.tries > 1:
                begun = self._renew_if_lacking(resource, begun, first, listed)
            seen = first.grant(noted.grant_id)
            self._end_removed(begun, first, seen.evidence if seen else ())
            return
        moved = self.surveyor.grants_on_moved_key(resource, secrets, grants)
        now = self.surveyor.resource(resource, listed)
        evidence = Evidence(at, now, secrets, grants + moved.grants, moved.unreadable)
        self._carry_out(resource, first, begun, grant, self._decide(resource, first, grant, evidence), listed)

    def _decide(self, resource: GrantedResource, first: GrantSurvey, grant: Grant, evidence: Evidence) -> Decision:
        second = assess(grant, resource, evidence, self.settings.place)
        surveys = Surveys(first.at, evidence.at, timedelta(seconds=self.settings.grace_seconds))
        return decide(first.grant(grant.grant_id), second, grant.created, surveys)

    def _carry_out(
        self,
        resource: GrantedResource,
        first: GrantSurvey,
        begun: Revocation,
        grant: Grant,
        decision: Decision,
        listed: Mapping[str, str | None],
    ) -> None:
        """Revokes a grant or keeps it. Raises NotYetEffective while a revoked grant is still listed."""
        if decision.revoke:
            begun = self._revoke(grant, begun)
        # An earlier try, or another execution, may have revoked a grant that is still listed.
        if decision.revoke or begun.tries > 1:
            begun = self._renew_if_lacking(resource, begun, first, listed)
        if not begun.revoked:
            self._end_kept(begun, first, decision.reason)
            return
        if not begun.unlisted and _of_id(self.surveyor.grants([begun.key_arn])[1], begun.grant_id):
            raise NotYetEffective(f"grant {begun.grant_id} was revoked and is still listed")
        self._end_removed(begun, first, decision.evidence)

    def _revoke(self, grant: Grant, noted: Revocation) -> Revocation:
        """Revokes a grant; one that no longer exists counts as revoked."""
        try:
            with aws_errors():
                try:
                    self.surveyor.kms.revoke_grant(KeyId=grant.key_arn, GrantId=grant.grant_id)
                except ClientError as error:
                    if not is_missing(error) and code_of(error) != "InvalidGrantIdException":
                        raise
        except AccessDenied:
            self._revocations.note_denied(noted)
            raise
        self._revocations.confirm(noted)
        return replace(noted, revoked=True)

    def _renew_if_lacking(
        self, resource: GrantedResource, noted: Revocation, first: GrantSurvey, listed: Mapping[str, str | None] | None = None
    ) -> Revocation:
        """Updates a resource that lacks the revoked grant with its current settings, so that its service creates a new grant.

        KMS has no conditional revoke, so a resource can come back between the last read and the revocation. Raises
        NotYetEffective until the new grant is listed, since KMS may return the one that is being revoked, and if the resource
        changes in the meantime. If an earlier update with the same settings had no effect, the settings are altered and set
        back.
        """
        self._put_back(resource, noted)
        now = self.surveyor.resource(resource, listed)
        secrets = self.surveyor.secrets(resource, now.secret_arn)
        at, grants = self.surveyor.grants([noted.key_arn])
        if not noted.unlisted and _of_id(grants, noted.grant_id) is None:
            self._revocations.note_unlisted(noted)
            noted = replace(noted, unlisted=True)
        evidence = Evidence(at, now, secrets, _without(noted, grants))
        if now.secret_arn and not secrets and not uses_another_secret(noted.secret_arn, evidence):
            raise AccessDenied(f"{now.secret_arn} cannot be read, so it is unknown whether its grant is needed")
        if is_served(resource, evidence, noted.key_arn, noted.secret_arn) is not False:
            return noted
        self._revocations.note_restoring(noted, first.survey_id)
        if not self._renew_grant(resource, now.secret_arn):
            raise NotYetEffective(f"{resource.resource_arn} was changed just before its grant was to be renewed")
        served = self._is_served_now(resource, noted, evidence)
        if not served and noted.restoring:
            self._renew_by_change(resource, noted, now.secret_arn)
            served = self._is_served_now(resource, noted, evidence)
        # If the response of RevokeGrant was lost, it is unknown whether the grant is being revoked at all.
        if not served and (noted.unlisted or noted.revoked):
            raise NotYetEffective(f"{resource.resource_arn} was updated and has no grant yet")
        return noted

    def _is_served_now(self, resource: GrantedResource, noted: Revocation, evidence: Evidence) -> bool | None:
        """Whether the resource has a grant in a new list, with the rest of the evidence as it is."""
        at, grants = self.surveyor.grants([noted.key_arn])
        evidence = replace(evidence, at=at, grants=_without(noted, grants))
        return is_served(resource, evidence, noted.key_arn, noted.secret_arn)

    def _renew_by_change(self, resource: GrantedResource, noted: Revocation, secret_arn: str | None) -> None:
        """Updates a resource with altered settings that mean the same, and sets them back.

        The former settings are recorded first, so that a later attempt sets them back after a crash.
        """
        configuration, client = resource.configuration, self.updating(resource.configuration.service)
        found = configuration.read_named(client, resource.name)
        altered = configuration.altered(found.full_settings) if found and found.secret_arn == secret_arn else None
        if found is None or altered is None:
            return
        self._revocations.note_altering(noted, found.full_settings)
        # No call between the last read and the update: a change by the owner in between would be lost.
        if not configuration.is_unchanged(configuration.read_named(client, resource.name), found):
            raise NotYetEffective(f"{resource.resource_arn} was changed just before its settings were to be altered")
        _update(configuration, client, altered)
        self._put_back(resource, replace(noted, altered_from=found.full_settings))

    def _put_back(self, resource: GrantedResource, noted: Revocation) -> None:
        """Sets altered settings back, except those that somebody else has changed since."""
        former = noted.altered_from
        if former is None:
            return
        configuration, client = resource.configuration, self.updating(resource.configuration.service)
        present, altered = configuration.read_named(client, resource.name), configuration.altered(former) or former
        if present is not None:
            restored = configuration.restored_settings(present.full_settings, former, altered)
            if restored != present.full_settings:
                _update(configuration, client, restored)
        self._revocations.note_put_back(noted)

    def _renew_grant(self, resource: GrantedResource, secret_arn: str | None) -> bool:
        """Updates a resource that still uses this secret with its current settings; False if it has changed."""
        configuration, client = resource.configuration, self.updating(resource.configuration.service)
        found = configuration.read_named(client, resource.name)
        if found is None or found.secret_arn != secret_arn:
            return False
        _update(configuration, client, found.full_settings)
        return True

    def _end_kept(self, noted: Revocation, first: GrantSurvey, reason: str) -> None:
        kept = KeptGrant(grantId=noted.grant_id, keyArn=noted.key_arn, reason=reason)
        self._revocations.end(noted, first.survey_id, kept, gone=False, by_us=_is_revoked_by_us(noted))

    def _end_removed(self, noted: Revocation, first: GrantSurvey, evidence: tuple[str, ...]) -> None:
        """Records that the grant is gone, and who removed it as far as that is known, other executions included."""
        now = self._revocations.read(noted)
        removed = RemovedGrant(
            grantId=noted.grant_id,
            keyArn=noted.key_arn,
            removedBy="latchkey" if now.revoked else "either" if now.tries > 1 else "service",
            reason=noted.reason,
            evidence=evidence,
            removedAt=datetime.now(UTC),
        )
        self._revocations.end(noted, first.survey_id, removed, gone=True, by_us=_is_revoked_by_us(now))

    def _forget_former_keys(self, resource: GrantedResource, access_id: str) -> None:
        record = self.registry.accesses.get(access_id)
        current = {record.key_arn} if record else set()
        for key in self.registry.granted.of(access_id) - current:
            found = self.surveyor.readable_grants([key])
            if not found.unreadable and not any(grant.name == resource.grant_name for grant in found.grants):
                self.registry.granted.forget(access_id, key)


def _update(configuration: GrantedConfiguration, client: Any, full_settings: Mapping[str, Any]) -> None:
    """Updates a resource. Raises AccessDenied for every status with which the service can answer a missing permission."""
    try:
        configuration.restore(client, full_settings)
    except ClientError as error:
        if status_of(error) in configuration.denial_statuses:
            raise AccessDenied(str(translate(error))) from None
        raise


_URGENCY: tuple[Verdict, ...] = ("orphaned", "in use", "suspect", "foreign")


def _most_urgent(assessments: Iterable[Assessment], opened: Iterable[Revocation]) -> tuple[Assessment, ...]:
    """At most MOST_GRANTS, orphaned ones first. Irrevocable grants come after other orphaned ones."""
    irrevocable = {one.grant_id for one in opened if one.irrevocable}
    ordered = sorted(assessments, key=lambda one: (_URGENCY.index(one.verdict), one.grant_id in irrevocable))
    return tuple(ordered[:MOST_GRANTS])


_OUTCOME: TypeAdapter[RemovedGrant | KeptGrant] = TypeAdapter(RemovedGrant | KeptGrant)


def ended_by(survey: GrantSurvey, revocations: Revocations) -> CleanedUp:
    """The result for each grant of a survey that its execution finished."""
    return ended_in(survey.access_id, survey.survey_id, revocations)


def ended_in(access_id: str, survey_id: str, revocations: Revocations) -> CleanedUp:
    """The result for each grant of the survey with this id."""
    ended = revocations.ended(access_id, survey_id)
    outcomes = [_OUTCOME.validate_json(outcome) for outcome in ended.outcomes]
    return CleanedUp(
        removed=tuple(outcome for outcome in outcomes if isinstance(outcome, RemovedGrant)),
        kept=tuple(outcome for outcome in outcomes if isinstance(outcome, KeptGrant)),
        restored=ended.restored,
    )


def _is_revoked_by_us(noted: Revocation) -> bool:
    """Whether Latchkey revoked the grant, or may have, and must restore it if the resource still needs it.

    If the owner of the secret took it away, restoring access is up to that owner.
    """
    return (noted.revoked or noted.tries > 1) and not is_revoked_by_secret(noted.reason)


def _of_id(grants: Iterable[Grant], grant_id: str) -> Grant | None:
    return next((grant for grant in grants if grant.grant_id == grant_id), None)


def _without(noted: Revocation, grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """The grants without the one that is being revoked."""
    return tuple(grant for grant in grants if noted.unlisted or grant.grant_id != noted.grant_id)
