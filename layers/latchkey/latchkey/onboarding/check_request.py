"""Checks a request against the account and the stack parameters, and announces it if every rule passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from latchkey.access.bounds import Bounds, bounds_problems
from latchkey.access.desired import Desired, desire
from latchkey.access.lifecycle import broken_rule
from latchkey.access.tenants import Tenants
from latchkey.aws.clients import Clients
from latchkey.aws.keys import find_key
from latchkey.aws.secrets import CURRENT, find_secret, name_of_secret
from latchkey.errors import Conflict, InvalidRequest, Problem
from latchkey.onboarding.companions import begin_move, check_companions, lock_companions, read_companions
from latchkey.onboarding.rules.consent import Withdrawal, withdrawals
from latchkey.onboarding.rules.denials import FunctionRoles
from latchkey.onboarding.rules.evidence import CompanionEvidence, RequestEvidence
from latchkey.onboarding.rules.move import is_move
from latchkey.onboarding.rules.read_evidence import EvidenceReader, brings_new_token
from latchkey.onboarding.rules.repair import leaves_resource, repair_problems, without_known
from latchkey.onboarding.rules.request_rules import request_problems
from latchkey.onboarding.rules.resource import confirmed_host_problems, public_problems, resource_problems, waits_for_token
from latchkey.onboarding.rules.secret import keeps_value
from latchkey.onboarding.rules.stacks import stack_problems
from latchkey.onboarding.rules.tenants import is_foreign_access, is_foreign_resource, name_problems, tenant_problems
from latchkey.registry import Registry
from latchkey.registry.access_locks import IsOver
from latchkey.registry.execution_input import ExecutionInput
from latchkey.registry.journal import REQUEST, RequestJournal, reference_step
from latchkey.registry.lock_holder import is_over_by
from latchkey.requests.lifecycle import RESTORATION_REQUESTED
from latchkey.requests.models import NOTHING_HANDED_OFF, ONBOARDING_REQUESTED, OnboardingRequest
from latchkey.requests.parsing import AnyOnboarding
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.settings import Settings
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_stepfunctions.client import SFNClient

VALUE_UNREADABLE = (
    "cannot be read, so its format cannot be checked: the policy of the secret must not deny {role} the value, "
    "and the key of the secret must be enabled and delegate kms:Decrypt to IAM in its key policy"
)

UNMANAGED = "is no longer managed, because its owner withdrew consent: onboard it again after the owner has consented"


__all__ = ["CheckRequestInput", "FunctionRoles", "OnboardingPlan", "apply_rules", "begin_request", "check_request"]


class CheckRequestInput(ExecutionInput):
    """The input of an execution, its ARN, and the result of the value check: its findings, or that it was refused.

    `findings` is None until the value has been checked. `replacesValue`: the request would replace the value of its secret.
    `followsPlan`: plan_access found that the request does what was planned.
    """

    execution_arn: str
    findings: tuple[Problem, ...] | None = None
    unreadable: bool = False
    replaces_value: bool | None = None
    follows_plan: bool = False

    @property
    def is_to_plan(self) -> bool:
        """Whether plan_access runs before anything else."""
        return self.request is not None and self.request.is_planned and not self.follows_plan


class OnboardingPlan(WireModel):
    """What the state machine branches on. For a confirmed hand-off `keyArn` is known, and `changed` is true.

    `restores`: the deletions of an offboarded access must be canceled, and then the request is checked again.
    `hasResource`: this execution configures the resource. `staged`: the resource serves without the token until a confirmation.
    `checksFirst`: no API call can roll back the configuration, so all other checks run before it.
    `valueToCheck`: every rule passed, but the request is not announced yet. It is checked again after its value.
    `ownSecretArn` is the secret of this access that create_secret will find. `toPlan`: the request is not announced yet, and
    plan_access runs next. After it, a request that is `planOnly` ends, and any other is checked again. `replacesValue` is what
    the value check found about the value of the secret. `moves`: the access moves to another key, and `companions` are the
    requests of the other accesses that read its secret. `movedIds` are all accesses that move.
    """

    access_id: str
    confirms: bool = False
    changed: bool = False
    restores: bool = False
    value_to_check: bool = False
    own_secret_arn: str | None = None
    needs_secret: bool
    has_resource: bool
    staged: bool = False
    checks_first: bool = False
    key_arn: str | None = None
    secret_arn: str | None
    to_plan: bool = False
    plan_only: bool = False
    replaces_value: bool | None = None
    companions: tuple[AnyOnboarding, ...] = ()
    moves: bool = False
    moved_ids: tuple[str, ...] = ()


def check_request(
    event: CheckRequestInput,
    settings: Settings,
    registry: Registry,
    clients: Clients,
    stepfunctions: SFNClient,
    secretsmanager_in: Callable[[str], SecretsManagerClient],
    tenants: Tenants,
    roles: FunctionRoles,
) -> OnboardingPlan:
    """Claims the request id, locks the access, applies all rules and announces the request. A plan locks and announces nothing.

    An existing value is checked only after every rule has passed: findings reveal something about the value, so its owner must
    consent first. The rules are then applied again, with the findings.

    Raises InvalidRequest with every problem, and NotYetEffective while another request has the access or removes its secret. If
    the request asks for something of another tenant, that is the only problem, and the access is not locked.
    """
    problems = {*event.problems}
    try:
        registry.requests.claim(event.ref, event.execution_arn)
    except Conflict as error:
        raise InvalidRequest({*problems, Problem("requestId", str(error))}) from None
    if event.request is None:
        raise InvalidRequest(problems)
    desired = desire(event.request, settings, event.tenant)
    access_path = "accessId" if event.confirms or event.asked else "resource"
    if registry.accesses.tenant(desired.access_id) not in (None, event.tenant):
        raise InvalidRequest([Problem(access_path, NOT_ALLOWED)])
    bounds = Bounds(settings, tenants.document(event.tenant))
    denied = [problem for problem in bounds_problems(desired, bounds) if problem.rule == NOT_ALLOWED]
    if denied := [*denied, *name_problems(desired, tenants.is_known)]:
        raise InvalidRequest(denied)
    is_over = is_over_by(stepfunctions, registry)
    _begin(event, desired, access_path, is_over, registry)
    reader = EvidenceReader(bounds, registry, clients, secretsmanager_in)
    if event.kind != RESTORATION_REQUESTED:
        return apply_rules(event, desired, reader, is_over, registry, roles)
    if desired.request.plans:
        return _restoration_plan(event, desired, registry, clients)
    journal = registry.journal_of(event.execution_arn, desired.access_id, desired.tenant)
    if journal.entry(reference_step(desired.secret_resource)) is None:  # restore_access refers to the secret
        return _restoration_plan(event, desired, registry, clients)
    try:
        restored = event.model_copy(update={"follows_plan": True})  # a restoration that has begun is not planned again
        return apply_rules(restored, desired, reader, is_over, registry, roles)
    except InvalidRequest as error:
        # The deletions were canceled, so the request is rolled back and not rejected.
        raise Conflict("; ".join(f"{problem.path} {problem.rule}" for problem in error.problems)) from None


def _restoration_plan(event: CheckRequestInput, desired: Desired, registry: Registry, clients: Clients) -> OnboardingPlan:
    """The plan for a restoration whose deletions are not canceled yet. Raises InvalidRequest if the window has ended.

    The rules for the restored access are applied by plan_access or, if the request is not planned, after the restoration.
    """
    record, offboarded = registry.accesses.get(desired.access_id), registry.offboardings.get(desired.access_id)
    if record is None or offboarded is None:
        raise InvalidRequest([Problem("accessId", NOTHING_HANDED_OFF)])
    arn, ends = record.secret_arn, offboarded.secret_ends
    secret = find_secret(clients.secretsmanager, arn) if arn else None
    if secret is None:
        since = f", because its recovery window ended on {ends.isoformat(timespec='seconds')}" if ends else ""
        rule = f"cannot be restored: {arn} is deleted{since}. Onboard the access again"
        raise InvalidRequest([Problem("accessId", rule)])
    if problems := [*_companion_problems(desired, "accessId", registry)]:
        raise InvalidRequest(problems)
    if secret.is_being_deleted and secret.arn != offboarded.secret_arn:
        rule = f"cannot be restored: {secret.arn} is scheduled for deletion by its owner. Restore it, and send a new request"
        raise InvalidRequest([Problem("accessId", rule)])
    key_arn = desired.request.key.arn or record.key_arn
    key = find_key(clients.kms, key_arn)
    if key is None:
        rule = f"cannot be restored: {key_arn} is deleted. Onboard the access again"
        raise InvalidRequest([Problem("accessId", rule)])
    if key.state == "PendingDeletion":
        # Latchkey deletes a key only after its secret, so a person has scheduled this deletion.
        advice = "Cancel its deletion and enable it, and send a new request"
        rule = f"cannot be restored: {key_arn} is scheduled for deletion. {advice}"
        raise InvalidRequest([Problem("accessId", rule)])
    return OnboardingPlan(
        accessId=desired.access_id,
        restores=not event.is_to_plan,
        needsSecret=False,
        hasResource=False,
        secretArn=record.secret_arn,
        toPlan=event.is_to_plan,
        planOnly=desired.request.plans,
    )


def apply_rules(
    event: CheckRequestInput,
    desired: Desired,
    reader: EvidenceReader,
    is_over: IsOver,
    registry: Registry,
    roles: FunctionRoles,
) -> OnboardingPlan:
    """Applies the rules to a request, and announces it if every rule passes."""
    problems, bounds = {*event.problems}, reader.bounds
    if event.confirms:
        return _confirmed_plan(event, desired, registry, reader)
    if desired.reads_secret:
        registry.resources.await_removal(desired.secret_resource)
    evidence = reader.read_request(desired)
    foreign = [*tenant_problems(desired, evidence, registry.resources.tenant)] or [*stack_problems(desired, evidence)]
    if foreign:
        raise InvalidRequest(foreign)
    moves = is_move(desired, evidence)
    problems.update(_state_problems(desired, registry))
    found: tuple[CompanionEvidence, ...] = ()
    if moves and desired.request.plans:
        found = read_companions(desired, event.ref, registry, is_over)
    elif moves:
        found = lock_companions(desired, event.ref, event.execution_arn, registry, is_over)
    if event.repair is not None:
        problems.update(repair_problems(desired, evidence, registry.phases.state(desired.access_id)))
        evidence = without_known(desired, evidence, event.repair)
    problems.update(request_problems(desired, evidence, bounds, roles))
    companions = () if problems else check_companions(desired, found, reader, bounds, roles)
    if not problems and event.findings:
        problems.update(event.findings)
    brings_value = desired.request.secret.value.source_arn is not None and not keeps_value(desired, evidence)
    if event.unreadable and brings_value and not problems:
        problems.add(Problem("secret.value", VALUE_UNREADABLE.format(role=roles.create_secret)))
    if problems:
        raise InvalidRequest({*problems, *_stop_managing(desired, registry, reader)})
    plan = _plan(desired, evidence, event, registry, companions)
    if not plan.value_to_check and not plan.to_plan:
        journal = registry.journal_of(event.execution_arn, desired.access_id, desired.tenant)
        begin_request(desired, evidence, companions if moves else None, journal, registry)
    return plan


def begin_request(
    desired: Desired,
    evidence: RequestEvidence,
    companions: tuple[OnboardingRequest[Any], ...] | None,
    journal: RequestJournal,
    registry: Registry,
) -> None:
    """Announces a request that has passed its rules. `companions` are the other accesses of a move, or None if it is none."""
    registry.locks.announce_request(desired.access_id, desired.request.recorded, journal.execution_arn, desired.tenant)
    _refer_to_secret(desired, evidence, journal, registry)
    # A rotation or move that has begun since the rules were applied did not see this access.
    if late := [*_companion_problems(desired, "resource", registry)]:
        raise InvalidRequest(late)
    if companions is not None:
        begin_move(desired, companions, journal, registry)


def _plan(
    desired: Desired,
    evidence: RequestEvidence,
    event: CheckRequestInput,
    registry: Registry,
    companions: tuple[OnboardingRequest[Any], ...],
) -> OnboardingPlan:
    found_arn, present = evidence.secret.secret.arn if evidence.secret else None, evidence.resource
    is_new = brings_new_token(desired, registry)
    configured = present.configured if present else None
    waits = waits_for_token(desired, configured, found_arn, evidence.record, brings_new_token=is_new)
    configures = desired.configures and not waits and not (event.repair and leaves_resource(event.repair))
    moved = (desired.access_id, *(companion.access_id for companion in companions))
    moves = is_move(desired, evidence)
    # A repair hands nothing off: whoever owns the resource has known since the first request, or has changed it since.
    is_repair = event.repair is not None
    is_public = configured is not None and bool(configured.public_statements) and not moves and not is_repair
    return OnboardingPlan(
        accessId=desired.access_id,
        needsSecret=desired.needs_secret,
        hasResource=configures,
        staged=waits or is_public,
        checksFirst=configures and not desired.can_be_removed,
        secretArn=desired.existing_secret_arn,
        ownSecretArn=evidence.secret.secret.arn if desired.needs_secret and evidence.secret else None,
        valueToCheck=event.findings is None and (evidence.secret is not None or evidence.source is not None),
        toPlan=event.is_to_plan,
        planOnly=desired.request.plans,
        replacesValue=event.replaces_value,
        companions=companions,
        moves=moves,
        movedIds=moved if moves else (),
    )


def _state_problems(desired: Desired, registry: Registry) -> Iterator[Problem]:
    """The broken rule, if another request has begun a phase of the access that has not ended."""
    phase = registry.phases.get(desired.access_id)
    if phase is not None and phase.request_id != desired.request.request_id:
        yield Problem("resource", broken_rule(ONBOARDING_REQUESTED, phase.name) or "")
    yield from _companion_problems(desired, "resource", registry)


def _companion_problems(desired: Desired, path: str, registry: Registry) -> Iterator[Problem]:
    """The other accesses of the secret whose token or key another request is replacing."""
    if not desired.reads_secret:
        return
    for access_id in sorted(registry.resources.others(desired.secret_resource, desired.access_id)):
        phase = registry.phases.get(access_id)
        if phase is None or phase.name == "offboarding" or phase.request_id == desired.request.request_id:
            continue
        rule = broken_rule(ONBOARDING_REQUESTED, phase.name)
        yield Problem(path, f"shares its secret with {access_id}, which {rule}")


def _begin(event: CheckRequestInput, desired: Desired, access_path: str, is_over: IsOver, registry: Registry) -> None:
    """Locks the access and begins the journal of the request.

    A plan changes nothing and needs neither. It waits for a running request, whose changes it would miss.
    """
    if desired.request.plans:
        registry.locks.await_free(desired.access_id, is_over, event.ref)
        _require_state(event, desired, access_path, registry)
        return
    registry.move_former_notes(desired.access_id, desired.tenant)
    registry.locks.lock(desired.access_id, event.execution_arn, is_over, event.ref)
    if registry.accesses.tenant(desired.access_id) not in (None, event.tenant):
        # Another tenant recorded the access after the first read. Nothing changes that while the access is locked.
        registry.locks.unlock(desired.access_id, event.execution_arn)
        raise InvalidRequest([Problem(access_path, NOT_ALLOWED)])
    journal = registry.journal_of(event.execution_arn, desired.access_id, desired.tenant)
    # For read_execution: an open change can outlive the execution, which Step Functions deletes after 90 days.
    journal.intend(REQUEST, event.model_dump(mode="json", by_alias=True, include=set(ExecutionInput.model_fields)))
    _require_state(event, desired, access_path, registry)


def _require_state(event: CheckRequestInput, desired: Desired, access_path: str, registry: Registry) -> None:
    """Raises InvalidRequest if the state of the access does not accept a request of this kind."""
    state = registry.phases.state(desired.access_id)
    if (event.confirms or event.asked) and (rule := broken_rule(event.kind, state)):
        raise InvalidRequest([Problem(access_path, rule)])


def _refer_to_secret(desired: Desired, evidence: RequestEvidence, journal: RequestJournal, registry: Registry) -> None:
    """Records that the access is about to use its secret, and where the value comes from."""
    if not desired.reads_secret:
        return
    source = desired.request.secret.value.copy_from
    if evidence.secret is None:
        registry.resources.begin_secret(desired.secret_resource, desired.access_id)
    if source is not None:
        registry.resources.note_copy(desired.secret_resource, source.secret_arn)
    registry.refer(desired.secret_resource, journal)
    present = evidence.secret.secret.version(CURRENT) if evidence.secret else None
    accepted = {version for version in (present, desired.version_id) if version}
    if _is_other_secret(evidence) and registry.tokens.versions(desired.secret_resource) - accepted:
        registry.tokens.forget(desired.secret_resource, desired.access_id)
    # Whoever sends the request accepts the present value, whoever has stored it. A rotation leaves any other value alone.
    registry.tokens.note_acceptance(desired.secret_resource, *accepted)


def _is_other_secret(evidence: RequestEvidence) -> bool:
    """Whether a secret of this name can have been deleted for good: none exists, or not the recorded one of the access."""
    recorded, found = evidence.record.secret_arn if evidence.record else None, evidence.secret
    if recorded is None or found is None:
        return found is None
    return recorded != found.secret.arn and name_of_secret(recorded) == found.secret.name


def _confirmed_plan(event: CheckRequestInput, desired: Desired, registry: Registry, reader: EvidenceReader) -> OnboardingPlan:
    """The plan for a confirmed hand-off.

    If the owner has configured the resource, the access is only validated, so only consent and its host are checked. A staged
    access is configured now, so the rules for its resource are applied again.
    """
    access_id = desired.access_id
    found, recorded = registry.accesses.to_confirm(access_id), registry.accesses.get(access_id)
    if found is None:
        raise InvalidRequest([Problem("accessId", NOTHING_HANDED_OFF)])
    # Another request can have ended between the event and this execution.
    if found.request.content != desired.request.content:
        rule = "was changed by another request after this confirmation was sent: check its handoff, and confirm again"
        raise InvalidRequest([Problem("accessId", rule)])
    consent, handoff = reader.read_consent(found.record), reader.read_handoff(desired, found.record)
    is_foreign = handoff.resource is not None and is_foreign_resource(desired, handoff.resource, handoff.record)
    if is_foreign or is_foreign_access(desired, consent):
        raise InvalidRequest([Problem("accessId", NOT_ALLOWED)])
    problems = {*_stop_managing(desired, registry, reader)}
    if found.is_pending:
        problems.update(_withdrawn(access_id, withdrawal) for withdrawal in withdrawals(consent, desired.stack))
    elif not problems and recorded and recorded.status == "unmanaged":
        problems.add(Problem("accessId", UNMANAGED))
    problems.update(confirmed_host_problems(desired, handoff, reader.bounds))
    problems.update(_companion_problems(desired, "accessId", registry))
    configures = desired.configures and found.record.reached == "handed-off"
    if configures:
        problems.update(resource_problems(desired, handoff, reader.settings))
        problems.update(public_problems(handoff.resource))
    if problems:
        raise InvalidRequest(problems)
    return OnboardingPlan(
        accessId=access_id,
        confirms=True,
        changed=found.is_pending or found.record.status != "active",
        needsSecret=False,
        hasResource=configures,
        checksFirst=configures and not desired.can_be_removed,
        keyArn=found.record.key_arn,
        secretArn=found.record.secret_arn,
        toPlan=event.is_to_plan,
        planOnly=desired.request.plans,
    )


def _stop_managing(desired: Desired, registry: Registry, reader: EvidenceReader) -> Iterator[Problem]:
    """Marks an access as unmanaged if an owner has withdrawn consent, and reports the statements that stay in place.

    A plan only reports them.
    """
    record = registry.accesses.get(desired.access_id)
    if record is None or record.status == "offboarded":
        return
    withdrawn = [*withdrawals(reader.read_consent(record), desired.stack)]
    if withdrawn and not desired.request.plans:
        registry.accesses.mark_unmanaged(record, [str(withdrawal) for withdrawal in withdrawn])
    for withdrawal in withdrawn:
        yield _withdrawn(desired.access_id, withdrawal)


def _withdrawn(access_id: str, withdrawal: Withdrawal) -> Problem:
    rule = f"its owner withdrew consent, so {access_id} is no longer managed; remaining on {withdrawal}"
    return Problem(withdrawal.kind, rule)
