"""Events that no request asked for: grants that were cleaned up or not revoked, accesses that were revoked or restored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, StringConstraints

from latchkey.errors import Problem
from latchkey.events.denial import Denial
from latchkey.events.findings import Finding
from latchkey.events.outcomes import Check, Evidence, Failure, RemovedGrant
from latchkey.wire import WireModel


class KeptGrant(WireModel):
    """A grant that was kept, and the reason."""

    grant_id: str
    key_arn: str
    reason: str


type Printable = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]


class TrailEvent(WireModel):
    """The CloudTrail event that started the cleanup. It decides nothing: only fresh reads do.

    `principal` is who made the call, as an ARN or the name of an AWS service, if the event says so.
    """

    event_id: str
    event_name: str
    event_time: AwareDatetime
    principal: str | None = None


class Notice(WireModel):
    """The members of every event about grants and access. `outcomeId` is the same in each delivery of one event.

    `tenant` is the tenant of the access if the access is recorded. `recordedAt` is when the event was recorded. `remedy` are
    the commands that repair what the event reports, in order, if there are any. They can be run as they are.
    """

    version: Literal["1"] = "1"
    outcome_id: str
    tenant: str | None = None
    access_id: str
    system: str
    status: str
    hint: TrailEvent | None = None
    execution_arn: str
    recorded_at: AwareDatetime | None = None
    remedy: tuple[str, ...] = ()


class GrantsCleanedUp(Notice):
    """The grants of an access that were removed, with the evidence, and the grants that were kept.

    `exposureSeconds` is the time from the moment when a grant was no longer needed to its revocation by Latchkey; of several
    grants, the longest. If no trail event has that moment, `exposureSecondsAtLeast` and `exposureSecondsAtMost` limit it, and
    `exposureSeconds` is the larger one that is known. `failure` is no longer set: see the event `Grant Not Revoked`.
    """

    removed: tuple[RemovedGrant, ...]
    kept: tuple[KeptGrant, ...]
    restored: bool
    exposure_seconds: float | None = None
    exposure_seconds_at_least: float | None = None
    exposure_seconds_at_most: float | None = None
    failure: Failure | None = None


class GrantNotRevoked(Notice):
    """An orphaned grant that could not be revoked. It still allows decryption, and every sweep tries again.

    `reason` is why the grant is orphaned. `since` is when a revocation first failed. `denial` is who was denied what by which
    policy, as far as AWS says. The event is published again only if the failure changes.
    """

    status: Literal["irrevocable"]
    grant_id: str
    key_arn: str
    reason: str
    since: AwareDatetime
    failure: Failure
    denial: Denial | None = None


class AccessRevoked(Notice):
    """The service can no longer read the secret. `lost` are the checks that failed, and `causes` what explains them."""

    status: Literal["revoked", "detached"]
    lost: tuple[Check, ...]
    causes: tuple[Finding, ...] = ()
    proposal: str | None = None


class AccessGone(Notice):
    """The resource of an access was deleted. Its service creates no grants. `lost` are the checks that failed.

    The secret, the reader role and the key of the access stay until an `Offboarding Requested`.
    """

    status: Literal["gone"]
    lost: tuple[Check, ...]


class AccessRestored(Notice):
    """An access that was revoked, detached or gone passes all of its checks again."""

    status: Literal["active"]


class DriftDetected(Notice):
    """The service can read, but the access differs from its request otherwise. `findings` are the differences, by kind.

    For example, a role of the origin lost its statement, or was deleted and created again under its name, so that the policies
    name a principal that no longer exists. The event is published again if there are other findings.
    """

    findings: tuple[Finding, ...]


class DriftResolved(Notice):
    """All findings of the last `Drift Detected` are gone."""


class DriftRepaired(Notice):
    """An access was repaired. `findings` are what was found before, and `checks` are all checks afterwards.

    All checks passed, except those that fail for one of the `remaining` findings: they were there before, and Latchkey does not
    correct them. Because of them, the access can still be revoked. `changed` is false if the access needed no repair any more.
    `reconciliation` is the execution that found the drift.
    """

    status: Literal["active", "handed-off", "revoked"]
    findings: tuple[Finding, ...]
    remaining: tuple[Finding, ...] = ()
    checks: tuple[Check, ...]
    changed: bool
    reconciliation: str


class DriftNotRepaired(Notice):
    """The repair of an access failed, or the access cannot be repaired.

    What the repair changed was rolled back, except for what the recorded request asks for.
    `findings` are what it was to correct, and `remaining` all other findings. `errors` are the rules that the access breaks,
    and `failure` is the error that ended the repair. `undone` and `left` are what was rolled back, and what was not, and why.
    `reconciliation` is the execution that found the drift.
    """

    findings: tuple[Finding, ...]
    remaining: tuple[Finding, ...] = ()
    errors: tuple[Problem, ...] = ()
    failure: Failure | None = None
    undone: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    reconciliation: str


class DeletedKey(WireModel):
    """What happened to the key of an offboarded access.

    It is `due` while its secret exists or something uses it, which `users` names. The sweep then tries again. `evidence` is
    what was read before the deletion.
    """

    key_arn: str | None = None
    state: Literal["due", "scheduled", "not managed", "gone"] = "due"
    waiting_days: int = 0
    users: str = ""
    evidence: tuple[Evidence, ...] = ()


class KeyDeletionScheduled(Notice):
    """The key of an offboarded access is deleted after `waitingDays` days, because its secret is deleted and nothing uses it.

    Until then, `aws kms cancel-key-deletion` keeps it. `evidence` is what was read before the deletion was scheduled.
    """

    status: Literal["offboarded"]
    key_arn: str
    waiting_days: int
    evidence: tuple[Evidence, ...]


CLEANED_UP = "Grants Cleaned Up"
NOT_REVOKED = "Grant Not Revoked"
KEY_DELETION_SCHEDULED = "Key Deletion Scheduled"
REPAIRED = "Drift Repaired"
NOT_REPAIRED = "Drift Not Repaired"
NOTICES: dict[str, type[Notice]] = {
    CLEANED_UP: GrantsCleanedUp,
    NOT_REVOKED: GrantNotRevoked,
    KEY_DELETION_SCHEDULED: KeyDeletionScheduled,
    "Access Revoked": AccessRevoked,
    "Access Gone": AccessGone,
    "Access Restored": AccessRestored,
    "Drift Detected": DriftDetected,
    "Drift Resolved": DriftResolved,
    REPAIRED: DriftRepaired,
    NOT_REPAIRED: DriftNotRepaired,
}
