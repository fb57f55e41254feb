"""The outcomes of requests: every request ends in exactly one."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass
from pydantic.json_schema import SkipJsonSchema

from latchkey import errors
from latchkey.errors import Problem
from latchkey.events.plans import Plan
from latchkey.systems.system import Handoff
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel

_Internal = Annotated[SkipJsonSchema[bool], Field(exclude=True)]

DetailType = Literal[
    "Access Onboarded",
    "Access Handed Off",
    "Access Planned",
    "Access Offboarded",
    "Token Pending",
    "Token Rotated",
    "Rotation Withdrawn",
    "Reconciliation Completed",
    "Bulk Onboarding Completed",
    "Discovery Completed",
    "Request Rejected",
    "Request Failed",
]


# The observed status of a recorded access: see access/record.py.
Observed = Literal["active", "handed-off", "unmanaged", "revoked", "detached", "gone"]
Result = Literal["passed", "failed", "not applicable", "confirmed"]


def _usual_result(check: dict[str, Any]) -> Result:
    return "passed" if check["passed"] else "failed"


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Check:
    """One check of an access. `evidence` describes what was read, never a secret value.

    `result` says how a check passed: Latchkey read it, it is not applicable for the reason in `evidence`, or a person confirmed
    what Latchkey cannot read. It is absent from outcomes of earlier versions.
    """

    name: str
    passed: bool
    evidence: str
    result: Result = Field(default_factory=_usual_result)
    # The flags stay inside the function. settles: waiting can resolve a failure. overwritten: attaching the policies again
    # resolves it. revokes: without what is checked, the service cannot read. unclear: a failure does not prove that. finding: a
    # failure is reported by an event of its own while the service keeps reading.
    settles: _Internal = False
    overwritten: _Internal = False
    revokes: _Internal = False
    unclear: _Internal = False
    finding: _Internal = False


class Failure(WireModel):
    """The error that ended the request: its class name and its message."""

    name: str
    message: str


class Resources(WireModel):
    """The ARNs of the key, secret, role and resource of the access, and the id of its grant."""

    key_arn: str | None = None
    secret_arn: str | None = None
    role_arn: str | None = None
    resource_arn: str | None = None
    grant_id: str | None = None


class Evidence(WireModel):
    """The complete read that preceded the deletion of a key or secret, or that kept it from being deleted.

    `secrets` are the secrets under the key. `grants` is the number of its grants that are not for the resource of the request.
    `aliases` are those that Latchkey did not create. `accesses` are the other accesses that refer to the key or secret.
    `secretsRead` is the number of secrets that were read. `resources` are the consumer resources configured with the secret.
    """

    resource: str
    read_at: AwareDatetime
    secrets: tuple[str, ...] = ()
    secrets_read: int = 0
    grants: int = 0
    aliases: tuple[str, ...] = ()
    accesses: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()

    @property
    def in_use(self) -> str:
        """What uses the resource, or an empty text."""
        used = [
            f"secrets: {', '.join(self.secrets)}" if self.secrets else "",
            f"grants: {self.grants}" if self.grants else "",
            f"aliases: {', '.join(self.aliases)}" if self.aliases else "",
            f"accesses: {', '.join(self.accesses)}" if self.accesses else "",
            f"resources: {', '.join(self.resources)}" if self.resources else "",
        ]
        return "; ".join(text for text in used if text)


class KeyLeft(WireModel):
    """What happened to the former key of a secret that was moved to another one.

    `removed` are the steps that were carried out, `left` is what stays, and why. `evidence` is what was read before the key was
    scheduled for deletion or kept.
    """

    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()


class Outcome(WireModel):
    """The detail of every outcome event. `outcomeId` is the same in each delivery of one outcome.

    `eventId` is the id of the event that brought the request, and `contentHash` is the hash of its content. Another sender can
    use the same request id, but gets a different `eventId` and `contentHash`.
    """

    version: Literal["1"] = "1"
    request_id: str
    event_id: str | None = None
    content_hash: str | None = None
    outcome_id: str
    tenant: str = DEFAULT_TENANT
    access_id: str | None = None
    system: str | None = None
    status: (
        Observed | Literal["completed", "offboarded", "planned", "rotating", "reconciled", "unchanged", "rejected", "failed"]
    )
    changed: bool
    checks: tuple[Check, ...] = ()
    resources: Resources = Resources()
    errors: tuple[Problem, ...] = ()
    failure: Failure | None = None
    undone: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    execution_arn: str = Field(pattern=r"^arn:")


class AccessOnboarded(Outcome):
    """The access works: every check passed. `status` is `unchanged` if it worked before the request as well.

    `effectDelaySeconds` is how long the service can continue to use the value it read before. `warnings` are members of the
    request that are valid and probably do not do what the sender wants. If the request moved the secret to another key,
    `removed` and `left` are the steps and what stays of the former key.
    """

    access_id: str
    system: str
    status: Literal["active", "unchanged"]
    checks: tuple[Check, ...]
    effect_delay_seconds: int | None = None
    warnings: tuple[Problem, ...] = ()
    removed: tuple[str, ...] = ()


class AccessHandedOff(Outcome):
    """Everything exists except the settings of the resource: `handoff` lists what is left to do.

    Every check except those of the resource passed. If the owner configures the resource, send `Handoff Confirmed` with the
    access id after the settings are applied. If the access is staged, send it after those who need the token have it: Latchkey
    then configures the resource.
    """

    access_id: str
    system: str
    status: Literal["handed-off", "unchanged"]
    checks: tuple[Check, ...]
    handoff: Handoff
    effect_delay_seconds: int | None = None
    warnings: tuple[Problem, ...] = ()


class AccessPlanned(Outcome, Plan):
    """What the request would do if it were sent with the mode `apply`. Nothing was changed.

    Such a request with this `planHash` does exactly that. If anything has changed since, it is rejected.
    """

    access_id: str
    system: str
    status: Literal["planned"]
    changed: Literal[False]


class Scheduled(WireModel):
    """A secret or key that is deleted later: a secret at the time `at`, a key after the secret `after` no longer exists.

    Until then, `Restoration Requested` restores the access. The waiting period of the key is `waitingDays` days.
    """

    resource: str
    at: AwareDatetime | None = None
    after: str | None = None
    waiting_days: int | None = None


class RemovedGrant(WireModel):
    """A grant that is gone. `removedBy` is `service` if it was gone before Latchkey tried to revoke it, `either` if unknown."""

    grant_id: str | None = None
    key_arn: str
    removed_by: Literal["latchkey", "service", "either"]
    reason: str
    evidence: tuple[str, ...]
    removed_at: datetime


class AccessOffboarded(Outcome):
    """The access was removed, except for what `left` lists. `status` is `unchanged` if an earlier request had removed it.

    `undone` lists what was removed, and `removedGrants` the grants that are gone. `left` lists what stays and why, and `steps`
    what a person must do to finish. `evidence` is what was read before a deletion, and the proof that the resource no longer
    uses the secret. `scheduled` lists what is deleted later.
    """

    access_id: str
    system: str
    status: Literal["offboarded", "unchanged"]
    steps: tuple[str, ...] = ()
    scheduled: tuple[Scheduled, ...] = ()
    removed_grants: tuple[RemovedGrant, ...] = ()


class PendingToken(WireModel):
    """A version of a secret that is not the current one yet. `readers` are roles that can read it, by `versionStage`."""

    secret_arn: str
    version_id: str
    version_stage: str
    readers: tuple[str, ...]


class CurrentToken(WireModel):
    """A version of a secret."""

    secret_arn: str
    version_id: str


class FormerToken(WireModel):
    """The version that was current before. `until`: how long it still works, if it does."""

    version_id: str
    is_accepted: bool
    until: str | None = None


class TokenPending(Outcome):
    """A new token exists, and somebody must act before it is used: `steps` lists what. The current token stays in use.

    Send `Rotation Confirmed` after these steps. A rotation that nobody confirms before `until` is withdrawn.
    """

    access_id: str
    system: str
    status: Literal["rotating"]
    token: PendingToken
    until: AwareDatetime
    steps: tuple[str, ...]


class TokenRotated(Outcome):
    """The new token is in use, and every check of the access passed. `steps` lists what those at the other end do now."""

    access_id: str
    system: str
    status: Literal["active"]
    checks: tuple[Check, ...]
    token: CurrentToken
    former_token: FormerToken
    steps: tuple[str, ...]


class RotationWithdrawn(Outcome):
    """A pending rotation has ended without a change of the current token. `reason` says why, and `steps` what to do now.

    `status` is what was last observed of the access.
    """

    access_id: str
    system: str
    status: Observed
    token: CurrentToken
    reason: str
    steps: tuple[str, ...]


class ReportObject(WireModel):
    """An object in the bucket of the stack."""

    bucket: str
    key: str


class ReconciliationCompleted(Outcome):
    """Every access in the scope of the request was compared with its request. `changed`: at least one was repaired.

    `accesses` is their number, `observed` the number of those that were observed, and `unread` of those that were not: they
    could not be read, or a request was running for them. `drifted` is the number of accesses with findings, and `findings` the
    number of findings by kind; `report` is the object that lists them. `due` is the number of accesses to be repaired.
    If `storm` is true, these are more than MaxRepairs, and none was repaired. `flapping` is the number of accesses with
    findings that came back after several repairs, and that are not repaired any more.
    """

    status: Literal["reconciled"]
    started_at: AwareDatetime
    duration_seconds: float
    accesses: int
    observed: int
    unread: int
    drifted: int
    findings: dict[str, int]
    due: int
    repaired: int
    not_repaired: int
    storm: bool
    flapping: int
    report: ReportObject


class StoredObject(WireModel):
    """A version of an object in the data bucket."""

    bucket: str
    key: str
    version_id: str | None = None


class BulkOnboardingCompleted(Outcome):
    """Each of the `lines` requests in the manifest was carried out. `outcomes` is how many of them ended in each outcome.

    `results` has one line for each of them, with the number of its line, its outcome, and every error.
    """

    status: Literal["completed"]
    mode: Literal["apply", "plan"]
    manifest: StoredObject
    results: StoredObject
    lines: int
    outcomes: dict[str, int]


class Unread(WireModel):
    """A system or resource that could not be read, so that nothing is known about it."""

    subject: str
    reason: str


class DiscoveryCompleted(Outcome):
    """The resources that use a secret and that Latchkey does not manage are listed in `results`, and as a table in `table`.

    `found` is their number, and `systems` their number by system. A request can adopt `adoptable` of them. `missingConsents` is
    the number of tags that owners must set first. `obstacles` are the most frequent rules that speak against an adoption, with
    the number of resources. `unreadCount` systems and resources could not be read; `unread` lists the first of them.
    """

    status: Literal["completed"]
    changed: Literal[False]
    found: int
    adoptable: int
    systems: dict[str, int]
    missing_consents: int
    obstacles: dict[str, int]
    unread: tuple[Unread, ...]
    unread_count: int
    results: StoredObject
    table: StoredObject


class RequestRejected(Outcome):
    """The request is invalid for all the reasons in `errors`. Nothing was changed."""

    status: Literal["rejected"]
    changed: Literal[False]
    errors: tuple[Problem, ...]


class RequestFailed(Outcome):
    """The request was valid, but a step failed. `undone` lists what was rolled back; `left`, what was not, and why.

    `changed` is true only if the rollback is incomplete: changes of this request remain. The sweep tries again once a day.
    `evidence` is what was read before a key or secret was deleted or kept.
    """

    status: Literal["failed"]
    failure: Failure


# How a request or a repair can end if it did not reach what it was to do. Its journal then stays until it is rolled back.
FAILURES = ("Request Failed", "Request Rejected", "Drift Not Repaired")
OUTCOMES: dict[DetailType, type[Outcome]] = {
    "Access Onboarded": AccessOnboarded,
    "Access Handed Off": AccessHandedOff,
    "Access Planned": AccessPlanned,
    "Access Offboarded": AccessOffboarded,
    "Token Pending": TokenPending,
    "Token Rotated": TokenRotated,
    "Rotation Withdrawn": RotationWithdrawn,
    "Reconciliation Completed": ReconciliationCompleted,
    "Bulk Onboarding Completed": BulkOnboardingCompleted,
    "Discovery Completed": DiscoveryCompleted,
    "Request Rejected": RequestRejected,
    "Request Failed": RequestFailed,
}


class _Problems(WireModel):
    problems: tuple[Problem, ...]


def _json(text: str) -> Any:
    """The JSON document in a text, or None if the text is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


class CaughtError(WireModel):
    """The output of a Step Functions Catch: the class name of the error and, from a Lambda function, JSON with its message."""

    error: str = Field(alias="Error")
    cause: str = Field(default="", alias="Cause")

    @property
    def message(self) -> str:
        """The message of a Latchkey error, which never contains a secret value; empty for any other error."""
        own = getattr(errors, self.error, None)
        if not (isinstance(own, type) and issubclass(own, errors.LatchkeyError)):
            return ""
        cause = _json(self.cause)
        message = cause.get("errorMessage") if isinstance(cause, dict) else None
        # EventBridge rejects lone surrogates.
        return message.encode(errors="replace").decode() if isinstance(message, str) else ""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of an InvalidRequest, or none if the message has another format."""
        try:
            return _Problems.model_validate_json(self.message).problems
        except ValidationError:
            return ()
