"""Checks a rotation, a confirmation or a withdrawal against the account, and starts it if every rule passes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from latchkey.access.bounds import Bounds
from latchkey.access.desired import Desired, desire, version_id
from latchkey.access.lifecycle import broken_rule
from latchkey.access.record import AccessRecord
from latchkey.access.rotating import Rotating
from latchkey.access.tenants import Tenants
from latchkey.aws.clients import Clients
from latchkey.aws.secrets import CURRENT, PENDING, PREVIOUS, ObservedSecret
from latchkey.errors import Conflict, InvalidRequest, NotYetEffective, Problem
from latchkey.registry import Registry
from latchkey.registry.access_locks import IsOver
from latchkey.registry.execution_input import ExecutionInput
from latchkey.registry.journal import LAST_ROTATION, PHASE, REQUEST, ROTATION, Entry, RequestJournal
from latchkey.registry.lock_holder import is_over_by
from latchkey.requests.lifecycle import RotationConfirmed, RotationRequested
from latchkey.requests.models import NOTHING_HANDED_OFF
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.rotation.choreography import choreography, token_lengths
from latchkey.rotation.plan import RotationPlan
from latchkey.rotation.read_evidence import EvidenceReader
from latchkey.rotation.rules import RUNNING, RotationEvidence, confirmation_problems, rotation_problems, token_problems
from latchkey.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_stepfunctions.client import SFNClient

__all__ = ["CheckRotationInput", "RotationPlan", "check_rotation", "intend_rotation"]

NOT_DUE = "was rotated since the sweep found that this was due"
CHANGED_SINCE = "was changed by another request after this one was sent: send the request again"


class CheckRotationInput(ExecutionInput):
    """The input of an execution, and the ARN of the first execution of its request."""

    execution_arn: str
    follows_plan: bool = False

    @property
    def is_scheduled(self) -> bool:
        """Whether a sweep started the execution. No event brought its request, which is carried out only if it is still due."""
        return self.event_id is None


def check_rotation(
    event: CheckRotationInput,
    settings: Settings,
    registry: Registry,
    clients: Clients,
    stepfunctions: SFNClient,
    secretsmanager_in: Callable[[str], SecretsManagerClient],
    tenants: Tenants,
) -> RotationPlan:
    """Claims the request id, locks the access, applies all rules, and begins the phase `rotating`. A plan only checks.

    Raises InvalidRequest with every problem. The plan is recorded, and a retry or an execution that resumes returns it again: a
    broken rule does not reject a rotation that has begun. Raises NotYetEffective while another request holds the lock, or runs
    for another access that reads the secret.
    """
    try:
        registry.requests.claim(event.ref, event.execution_arn)
    except Conflict as error:
        raise InvalidRequest({*event.problems, Problem("requestId", str(error))}) from None
    asked = event.asked
    if event.request is None or not isinstance(asked, RotationRequested | RotationConfirmed):
        raise InvalidRequest(event.problems)
    desired = desire(event.request, settings, event.tenant)
    _require_tenant(desired, registry)
    if problems := [*token_problems(desired)]:
        raise InvalidRequest(problems)
    if event.resumes is None:
        # At once, instead of after a wait for the lock of the rotation that has the access.
        _require_state(event, asked, registry, desired)
    is_over = is_over_by(stepfunctions, registry)
    reader = EvidenceReader(settings, registry, clients, secretsmanager_in)
    companions = _Companions(event, desired, reader, is_over)
    bounds = Bounds(settings, tenants.document(event.tenant))
    if desired.request.plans:
        registry.locks.await_free(desired.access_id, is_over, event.ref)
        return _planned(event, asked, desired, bounds, companions)
    registry.locks.lock(desired.access_id, event.execution_arn, is_over, event.ref)
    _require_tenant(desired, registry)
    journal = registry.journal_of(event.execution_arn, desired.access_id, event.tenant)
    journal.intend(REQUEST, event.model_dump(mode="json", by_alias=True, include=set(ExecutionInput.model_fields)))
    begun = journal.entry(ROTATION)
    if begun and (begun.state != "open" or begun.result is not None or begun.wanted["plan"]["promotes"]):
        return _begun(begun, desired, registry)
    _require_state(event, asked, registry, desired)
    if desired.request.is_planned and not event.follows_plan and begun is None:
        return _planned(event, asked, desired, bounds, companions)
    record = _record(desired, registry)
    if isinstance(asked, RotationRequested) and not asked.withdraw:
        try:
            plan, evidence = _rotation(desired, asked, record, bounds, reader)
            intend_rotation(journal, plan, evidence, anew=True)
            return _started(plan, desired, companions, journal)
        except InvalidRequest:
            _end(desired, journal, registry)
            raise
    rotating = _rotating(desired, registry)
    if isinstance(asked, RotationRequested):
        plan = _withdrawal(rotating, desired, record, scheduled=event.is_scheduled)
        _intend_end(journal, plan, registry)
        return plan
    companions.await_idle()
    plan, evidence = _confirmed(desired, rotating, record, reader)
    _intend_end(journal, plan, registry)
    registry.tokens.note_versions(desired.secret_resource, *_versions(plan))
    intend_rotation(journal, plan, evidence)
    return plan


def _planned(
    event: CheckRotationInput,
    asked: RotationRequested | RotationConfirmed,
    desired: Desired,
    bounds: Bounds,
    companions: _Companions,
) -> RotationPlan:
    """The plan of a request that is to be planned first. Nothing is recorded, and no phase begins."""
    reader, registry = companions.reader, companions.reader.registry
    record = _record(desired, registry)
    if isinstance(asked, RotationRequested) and asked.withdraw:
        plan = _withdrawal(_rotating(desired, registry), desired, record, scheduled=event.is_scheduled)
    elif isinstance(asked, RotationRequested):
        plan, _ = _rotation(desired, asked, record, bounds, reader)
        if others := [*companions.problems()]:
            raise InvalidRequest(others)
        companions.await_idle()
    else:
        companions.await_idle()
        plan, _ = _confirmed(desired, _rotating(desired, registry), record, reader)
    return plan.model_copy(update={"to_plan": True, "plan_only": desired.request.plans})


def _confirmed(
    desired: Desired, rotating: Rotating, record: AccessRecord, reader: EvidenceReader
) -> tuple[RotationPlan, RotationEvidence]:
    """The plan of a confirmation, and the evidence for it. Raises InvalidRequest if a rule is broken."""
    evidence = reader.read(desired, rotating.secret_arn)
    if problems := [*confirmation_problems(rotating, evidence)]:
        raise InvalidRequest(problems)
    return _confirmation(rotating, desired, record, evidence), evidence


@dataclass(frozen=True)
class _Companions:
    """The other accesses that read the secret. Nothing else may run for them from the check of a rotation until its end.

    Every request locks its own access first and looks at the others then, so that one of two requests sees the other.
    """

    event: CheckRotationInput
    desired: Desired
    reader: EvidenceReader
    is_over: IsOver

    def problems(self) -> Iterator[Problem]:
        """The accesses that another request has begun to change. At most one of two rotations goes on."""
        for other in self.reader.readers(self.desired)[1:]:
            if other.changes is not None:
                rule = f"shares its secret with {other.desired.access_id}, which is {other.changes}"
                yield Problem("accessId", f"{rule}: finish that request first")

    def await_idle(self) -> None:
        """Raises NotYetEffective while a request runs for one of them, and releases the lock, for which that one can wait."""
        registry, access_id = self.reader.registry, self.desired.access_id
        try:
            for other in sorted(registry.resources.others(self.desired.secret_resource, access_id)):
                registry.locks.await_free(other, self.is_over, self.event.ref)
        except NotYetEffective:
            registry.locks.unlock(access_id, self.event.execution_arn)
            raise


def _rotation(
    desired: Desired, asked: RotationRequested, record: AccessRecord, bounds: Bounds, reader: EvidenceReader
) -> tuple[RotationPlan, RotationEvidence]:
    """The plan for a new token, and the evidence for it. Raises InvalidRequest if a rule is broken."""
    evidence = reader.read(desired, record.secret_arn, asked.value.copy_from)
    if problems := [*rotation_problems(desired, asked, evidence, bounds)]:
        raise InvalidRequest(problems)
    return _new_plan(desired, asked, record, evidence), evidence


def _started(plan: RotationPlan, desired: Desired, companions: _Companions, journal: RequestJournal) -> RotationPlan:
    """Begins the phase, and looks at the other accesses of the secret again. Raises InvalidRequest if one has a phase.

    The plan is in the journal before, so that a rollback ends the phase whatever happens here. Until the plan is complete, a
    retry makes it again, because requests that ran meanwhile can have changed which accesses read the secret.
    """
    reader, registry = companions.reader, companions.reader.registry
    _begin(plan, desired.request.request_id, registry)
    if others := [*companions.problems()]:
        raise InvalidRequest(others)
    companions.await_idle()
    if plan.readers != tuple(one.desired.access_id for one in reader.readers(desired)):
        raise NotYetEffective("another request has just changed which accesses read the secret")
    if companions.event.is_scheduled and not _is_due(desired, registry):
        raise InvalidRequest([Problem("accessId", NOT_DUE)])
    if plan.value is not None and plan.value.copy_from is not None:
        registry.resources.note_copy(desired.secret_resource, plan.value.copy_from.secret_arn)
    registry.tokens.note_versions(desired.secret_resource, *_versions(plan))
    journal.complete(ROTATION, {"started": True})
    return plan


def _end(desired: Desired, journal: RequestJournal, registry: Registry) -> None:
    """Ends the phase that this request has begun, because the request is rejected."""
    phase = registry.phases.get(desired.access_id)
    if phase is not None and phase.request_id == desired.request.request_id:
        registry.phases.end(desired.access_id, "rotating")
    if journal.entry(ROTATION) is not None:
        journal.finish(ROTATION)


def _is_due(desired: Desired, registry: Registry) -> bool:
    """Whether nobody has rotated the token since a sweep found it due. No other rotation of the secret runs now."""
    schedule, last = desired.request.rotation, registry.tokens.rotated_at(desired.secret_resource)
    return schedule is not None and (last is None or schedule.is_due(last, datetime.now(UTC)))


def _new_plan(desired: Desired, asked: RotationRequested, record: AccessRecord, evidence: RotationEvidence) -> RotationPlan:
    steps, request_id = choreography(evidence.accesses), desired.request.request_id
    shortest, longest = token_lengths(evidence.accesses)
    secret, now = evidence.secret, datetime.now(UTC)
    return RotationPlan(
        accessId=desired.access_id,
        keyArn=record.key_arn,
        secretArn=secret.arn if secret else "",
        version=desired.version_id,
        former=(secret.version(CURRENT) if secret else None) or "",
        second=version_id(f"{request_id}/again") if asked.emergency else None,
        value=asked.value,
        shortest=shortest,
        longest=longest,
        began=now,
        until=now + timedelta(days=asked.pending_days),
        waits=bool(steps.before) and not asked.accepts_interruption,
        revokes=asked.emergency,
        isApplied=bool(steps.updates),
        updates=steps.updates,
        isCached=steps.wait_seconds > 0,
        waitSeconds=steps.wait_seconds,
        readers=tuple(one.access_id for one in evidence.accesses),
    )


def _withdrawal(rotating: Rotating, desired: Desired, record: AccessRecord, *, scheduled: bool) -> RotationPlan:
    """The plan that ends a pending rotation. A sweep can have sent the request because of an earlier rotation."""
    if not rotating.is_pending:
        raise InvalidRequest([Problem("accessId", RUNNING)])
    if scheduled and not rotating.is_overdue(datetime.now(UTC)):
        raise InvalidRequest([Problem("accessId", NOT_DUE)])
    return RotationPlan(
        accessId=desired.access_id,
        keyArn=record.key_arn,
        secretArn=rotating.secret_arn,
        version=rotating.version,
        former=rotating.former,
        began=datetime.now(UTC),
        until=rotating.until,
        withdraws=True,
    )


def _confirmation(rotating: Rotating, desired: Desired, record: AccessRecord, evidence: RotationEvidence) -> RotationPlan:
    """The plan that carries out a pending rotation."""
    steps, (shortest, longest) = choreography(evidence.accesses), token_lengths(evidence.accesses)
    return RotationPlan(
        accessId=desired.access_id,
        keyArn=record.key_arn,
        secretArn=rotating.secret_arn,
        version=rotating.version,
        former=rotating.former,
        # A confirmation that failed can have left its second version without a label, and no version is stored twice.
        second=version_id(f"{desired.request.request_id}/again") if rotating.second else None,
        shortest=shortest,
        longest=longest,
        began=datetime.now(UTC),
        until=rotating.until,
        promotes=True,
        revokes=rotating.second is not None,
        isApplied=bool(steps.updates),
        updates=steps.updates,
        isCached=steps.wait_seconds > 0,
        waitSeconds=steps.wait_seconds,
    )


def _versions(plan: RotationPlan) -> list[str]:
    """The versions that Latchkey accepts from now on. The list can have been empty, which accepts any present version."""
    return [version for version in (plan.former, plan.version, plan.second) if version]


def _begin(plan: RotationPlan, request_id: str, registry: Registry) -> None:
    registry.phases.begin(plan.access_id, "rotating", request_id, plan.phase())


def intend_rotation(journal: RequestJournal, plan: RotationPlan, evidence: RotationEvidence, *, anew: bool = False) -> None:
    """Records the plan, the labels that were found, and the last rotation, before the first change."""
    found = _labels(evidence.secret) | {LAST_ROTATION: evidence.last_rotation}
    wanted = {"plan": plan.model_dump(mode="json", by_alias=True), "readers": [one.access_id for one in evidence.accesses]}
    journal.intend(ROTATION, wanted, found=found, anew=anew)


def _intend_end(journal: RequestJournal, plan: RotationPlan, registry: Registry) -> None:
    """Records the pending rotation that the request ends."""
    versions = [version for version in (plan.version, plan.second) if version]
    wanted = {"secretArn": plan.secret_arn, "versions": versions}
    journal.intend(PHASE, wanted, found=registry.phases.snapshot(plan.access_id))


def _labels(secret: ObservedSecret | None) -> dict[str, str | None]:
    return {label: secret.version(label) if secret else None for label in (CURRENT, PREVIOUS, PENDING)}


def _begun(entry: Entry, desired: Desired, registry: Registry) -> RotationPlan:
    """The complete plan that an earlier attempt recorded. Raises Conflict if the rotation was rolled back since."""
    plan = RotationPlan.model_validate_json(json.dumps(entry.wanted["plan"]))
    if entry.state != "open":
        raise Conflict("the rotation was rolled back, because its execution ended: send the request again with a new requestId")
    if not plan.promotes:
        _begin(plan, desired.request.request_id, registry)
    return plan


def _require_tenant(desired: Desired, registry: Registry) -> None:
    if registry.accesses.tenant(desired.access_id) not in (None, desired.tenant):
        raise InvalidRequest([Problem("accessId", NOT_ALLOWED)])


def _require_state(
    event: CheckRotationInput, asked: RotationRequested | RotationConfirmed, registry: Registry, desired: Desired
) -> None:
    """Raises InvalidRequest if the state of the access does not accept the request, unless this request has begun the phase."""
    phase = registry.phases.get(desired.access_id)
    if phase is not None and phase.request_id == event.request_id:
        return
    withdraws = isinstance(asked, RotationRequested) and asked.withdraw
    if rule := broken_rule(event.kind, registry.phases.state(desired.access_id), withdraws=withdraws):
        raise InvalidRequest([Problem("accessId", rule)])


def _record(desired: Desired, registry: Registry) -> AccessRecord:
    """The record of the access, if it still fulfills the request with which this execution was started."""
    record, recorded = registry.accesses.get(desired.access_id), registry.accesses.recorded_request(desired.access_id)
    if record is None or recorded is None:
        raise InvalidRequest([Problem("accessId", NOTHING_HANDED_OFF)])
    if recorded.content != desired.request.content:
        raise InvalidRequest([Problem("accessId", CHANGED_SINCE)])
    return record


def _rotating(desired: Desired, registry: Registry) -> Rotating:
    phase = registry.phases.get(desired.access_id)
    if phase is None or phase.name != "rotating":
        raise InvalidRequest([Problem("accessId", "has no pending rotation: send Rotation Requested first")])
    return Rotating.model_validate_json(json.dumps(phase.facts))
