"""Plans an onboarding, or the confirmation of a hand-off, by running its verbs in the order of the state machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from latchkey.access.bounds import Bounds
from latchkey.access.desired import Desired, desire
from latchkey.access.plan import Action, Change, change_of_policy, changes_of_settings
from latchkey.access.record import AccessRecord
from latchkey.aws.planned import PlannedChanges
from latchkey.events.outcomes import Resources
from latchkey.onboarding.attach_policies import AttachPoliciesInput, attach_policies
from latchkey.onboarding.check_request import OnboardingPlan, begin_request
from latchkey.onboarding.configure_access import ConfigureAccessInput, configure_access
from latchkey.onboarding.create_key import CreateKeyInput, create_key
from latchkey.onboarding.create_secret import CreateSecretInput, ensure_secret
from latchkey.onboarding.leave_key import LeaveKeyInput, leave_key
from latchkey.onboarding.record_access import RecordAccessInput, record_access
from latchkey.onboarding.rules.evidence import RequestEvidence, SecretEvidence
from latchkey.onboarding.rules.read_evidence import EvidenceReader
from latchkey.onboarding.secret_values import PlannedValues
from latchkey.onboarding.step_result import StepResult
from latchkey.planning.described import described, read_resource, resource_change
from latchkey.planning.draft import Draft, World
from latchkey.planning.permissions import ConfiguredResource, denied_to_managers, missing_permissions, needs_of_calls
from latchkey.registry.planned import PLAN
from latchkey.requests.models import HANDOFF_CONFIRMED, ONBOARDING_REQUESTED
from latchkey.systems.system import Configured
from latchkey.tags import is_ours


@dataclass(frozen=True)
class _Used:
    """The key and the secret that the access would use."""

    key_arn: str
    secret_arn: str | None


def plan_onboarding(desired: Desired, checked: OnboardingPlan, world: World) -> Draft:
    """The plan of a request that has passed its rules. `checked` is the result of check_request."""
    kind = HANDOFF_CONFIRMED if checked.confirms else ONBOARDING_REQUESTED
    content = {"kind": kind, "tenant": desired.tenant, "request": desired.request.content}
    return plan_steps(desired, checked, world, content, world.no_changes())


def plan_steps(desired: Desired, checked: OnboardingPlan, world: World, content: object, changes: PlannedChanges) -> Draft:
    """The plan of the steps that follow the check of a request. `changes` are those of earlier steps."""
    companions = [desire(request, world.settings, desired.tenant) for request in checked.companions]
    evidence, reads = _read(desired, companions, checked, world)
    before = {one.access_id: read_resource(one, world.clients) for one in companions}
    if checked.confirms:
        used = _confirmed(desired, checked, changes, world)
    else:
        _begin(desired, checked, evidence, world)
        used = _run(desired, checked, companions, changes, world)
    configured = _configured(desired, evidence, used)
    others = {
        one.resource.name: ConfiguredResource(found.arn, found.tags)
        for one in companions
        if (found := before[one.access_id]) is not None
    }
    needs = needs_of_calls(changes, configured, others)
    own_role = world.settings.configure_role_arn if checked.has_resource else None
    managers = [
        missing
        for one in (desired, *companions)
        for missing in denied_to_managers(one, used.key_arn, used.secret_arn or "", own_role, world.clients.iam)
    ]
    after = changes.clients("")
    moved = [
        resource_change(one.resource.kind, found, read_resource(one, after))
        for one in companions
        if (found := before[one.access_id]) is not None
    ]
    return Draft(
        content=content,
        reads=reads,
        changes=(*_changes(desired, evidence, changes, used), *moved),
        operations=tuple(f"{call.service}:{call.operation}" for call in changes.calls),
        missing=(*missing_permissions(needs, world.clients.iam), *managers),
    )


def _begin(desired: Desired, checked: OnboardingPlan, evidence: RequestEvidence, world: World) -> None:
    """What check_request records about a request that is carried out."""
    registry = world.registry
    for companion in checked.companions:
        registry.hold(companion.access_id, desired.access_id)
    journal = registry.journal_of(PLAN, desired.access_id, desired.tenant)
    begin_request(desired, evidence, checked.companions if checked.moves else None, journal, registry)


def _run(
    desired: Desired, checked: OnboardingPlan, companions: Sequence[Desired], changes: PlannedChanges, world: World
) -> _Used:
    """Runs the steps that change something, each with the role of its function."""
    settings, registry, step = world.settings, world.registry, _step(desired, checked)
    making = changes.clients(settings.create_key_role_arn)
    key = create_key(CreateKeyInput(**step), settings, registry, making.kms, making.iam)
    secret_arn = checked.secret_arn
    if checked.needs_secret:
        create = CreateSecretInput(**step, key=key, ownSecretArn=checked.own_secret_arn)
        storing, values = changes.clients(world.roles.create_secret), PlannedValues(bool(checked.replaces_value))
        secret_arn = ensure_secret(create, key, settings, registry, storing.secretsmanager, values).arn
    attach = AttachPoliciesInput(**step, key=key, secretArn=secret_arn)
    attach_policies(attach, settings, registry, changes.clients(settings.attach_role_arn), world.tenants)
    used = _Used(key.arn, secret_arn)
    _configure(desired, checked, companions, used, changes, world)
    if checked.moves:
        _leave_key(desired, checked, used, changes, world)
    return used


def _leave_key(desired: Desired, checked: OnboardingPlan, used: _Used, changes: PlannedChanges, world: World) -> None:
    """Records the moved accesses in the plan, and leaves their former key."""
    settings, registry = world.settings, world.registry
    record = registry.accesses.get(desired.access_id)
    resources = Resources(keyArn=used.key_arn, secretArn=used.secret_arn, resourceArn=record.resource_arn if record else None)
    record_access(RecordAccessInput(**_step(desired, checked), resources=resources, status="active"), settings, registry)
    leaving = LeaveKeyInput(accessIds=checked.moved_ids, executionArn=PLAN)
    leave_key(leaving, settings, registry, changes.clients(settings.undo_role_arn))


def _confirmed(desired: Desired, checked: OnboardingPlan, changes: PlannedChanges, world: World) -> _Used:
    """A confirmation configures the resource of a staged access, and changes nothing else."""
    used = _Used(checked.key_arn or "", checked.secret_arn)
    _configure(desired, checked, (), used, changes, world)
    return used


def _configure(
    desired: Desired,
    checked: OnboardingPlan,
    companions: Sequence[Desired],
    used: _Used,
    changes: PlannedChanges,
    world: World,
) -> None:
    if not checked.has_resource or used.secret_arn is None:
        return
    for one in (*companions, desired):
        _expect_grant(one, used.key_arn, used.secret_arn, changes)
    key, step = StepResult(arn=used.key_arn, changed=False), _step(desired, checked)
    configure = ConfigureAccessInput(**step, key=key, secretArn=used.secret_arn, confirms=checked.confirms)
    configure_access(configure, world.settings, world.registry, changes.clients(world.settings.configure_role_arn))


def _expect_grant(desired: Desired, key_arn: str, secret_arn: str, changes: PlannedChanges) -> None:
    """The service creates its grant when the resource is configured, even with the settings that the resource already has.

    The latter is not documented. If the service does not, configure_access makes two more updates: see docs/assumptions.md.
    """
    resource_arn = desired.resource.arn(desired.place)
    expected = desired.grant_for(secret_arn, resource_arn) if resource_arn else None
    if desired.system.granted is None or expected is None:
        return
    reader, configuration = desired.system.granted
    grant = {
        "GrantId": f"planned for {desired.access_id}",
        "Name": expected.name,
        "GranteePrincipal": reader.principal,
        "Operations": ["Decrypt"],
        "Constraints": {"EncryptionContextSubset": {"SecretARN": secret_arn}},
    }
    changes.expect_grant(configuration.service, desired.resource.name, key_arn, grant)


def _step(desired: Desired, checked: OnboardingPlan) -> dict[str, Any]:
    members = {"request": desired.request, "tenant": desired.tenant, "executionArn": PLAN}
    return members | {"companions": checked.companions}


def _read(
    desired: Desired, companions: Sequence[Desired], checked: OnboardingPlan, world: World
) -> tuple[RequestEvidence, Mapping[str, object]]:
    """The evidence for the rules, and what was read by name."""
    bounds = Bounds(world.settings, world.tenants.document(desired.tenant))
    reader = EvidenceReader(bounds, world.registry, world.clients, world.secretsmanager_in)
    found = world.registry.accesses.to_confirm(desired.access_id) if checked.confirms else None
    if found is None:
        evidence = reader.read_request(desired)
        of_others = {
            f"{name} ({one.access_id})": value for one in companions for name, value in _facts(reader.read_request(one)).items()
        }
        return evidence, _facts(evidence) | of_others
    evidence, consent = reader.read_handoff(desired, found.record), reader.read_consent(found.record)
    confirmed = {
        "the confirmed access": _status(found.record),
        "the key": consent.key,
        "the consent to the secret": consent.secret,
    }
    return evidence, _facts(evidence) | confirmed


def _facts(evidence: RequestEvidence) -> dict[str, object]:
    """The evidence for the rules, in parts that a rejection can name."""
    key, secret, resource = evidence.key, evidence.secret, evidence.resource
    recorded, pending = evidence.recorded_request, evidence.pending_request
    facts = {
        "the record of the access": _status(evidence.record),
        "the recorded request": recorded.content if recorded else None,
        "the unconfirmed hand-off": (_status(evidence.pending), pending.content) if pending else None,
        "a principal of the request": evidence.principals or None,
        "the reader role": evidence.role,
        "the key": key.key,
        "the policy of the key": key.policy,
        "the use of the key": replace(key, key=None, policy=None),
        "the secret": (secret.secret, secret.key) if secret else None,
        "the policy of the secret": (secret.policy, secret.every_policy) if secret else None,
        "the use of the secret": _use_of(secret) if secret else None,
        "the copied secret": evidence.source,
        "the resource": resource.configured if resource else None,
        "the consent to the resource": resource.consent_target if resource else None,
        "the former secret of the resource": resource.former_secret if resource else None,
        "another secret of the resource": evidence.other_secrets or None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _use_of(secret: SecretEvidence) -> object:
    """Who uses the secret, according to the registry, and which hosts receive its token."""
    of_access = {"referred": secret.referred, "unused": secret.never_configured, "copiedFrom": secret.copied_from}
    return of_access | {"others": secret.other_accesses, "hosts": secret.origin_hosts, "present": secret.present_hosts}


def _status(record: AccessRecord | None) -> object:
    """The record without what changes with every observation."""
    return replace(record, version=0, request_id="") if record else None


def _configured(desired: Desired, evidence: RequestEvidence, used: _Used) -> ConfiguredResource | None:
    if not desired.configures or used.secret_arn is None:
        return None
    found = evidence.resource.configured if evidence.resource else None
    tags = evidence.resource.owner_tags if found and evidence.resource else desired.tags()
    reading = desired.reading(used.key_arn, used.secret_arn)
    return ConfiguredResource(_name(desired, found), tags, reading.role_arn)


def _name(desired: Desired, found: Configured | None) -> str:
    return (found.arn if found else desired.resource.arn(desired.place)) or desired.resource.name


def _changes(desired: Desired, evidence: RequestEvidence, changes: PlannedChanges, used: _Used) -> Iterator[Change]:
    record = evidence.record
    key = evidence.key.key
    adopts_key = key is not None and not is_ours(key.tags, desired.stack) and (record is None or record.key_arn != key.arn)
    secret = evidence.secret.secret if evidence.secret else None
    adopts_secret = bool(
        secret and not is_ours(secret.tags, desired.stack) and (record is None or record.secret_arn != secret.arn)
    )
    adopted = {("key", used.key_arn): adopts_key, ("secret", used.secret_arn): adopts_secret}
    names = {
        ("key", used.key_arn): desired.alias,
        ("secret", used.secret_arn): desired.secret_name if desired.reads_secret else None,
    }
    for resource in changes.resources:
        at = (resource.kind, resource.name)
        is_new = resource.before is None
        yield described(resource, name=names.get(at) if is_new else None, adopted=adopted.get(at, False))
    role = desired.role(used.key_arn, used.secret_arn) if used.secret_arn else None
    used_as_they_are = [("key", used.key_arn), ("secret", used.secret_arn), ("role", role.arn(desired.place) if role else None)]
    for kind, arn in used_as_they_are:
        if arn and changes.find(kind, arn) is None:
            yield Change(action="adopt" if adopted.get((kind, arn)) else "none", kind=kind, name=arn)
    yield from _resource_change(desired, evidence, changes, used)


def _resource_change(desired: Desired, evidence: RequestEvidence, changes: PlannedChanges, used: _Used) -> Iterator[Change]:
    """The change of the consumer resource; none if its owner configures it, now or after a confirmation."""
    configuration = desired.system.configuration
    if configuration is None or used.secret_arn is None:
        return
    found = evidence.resource.configured if evidence.resource else None
    calls = [
        call
        for call in changes.calls
        if call.service == configuration.service and changes.is_about(call, desired.resource.name)
    ]
    if not calls:
        yield Change(action="none", kind=desired.resource.kind, name=_name(desired, found))
        return
    action: Action = "update" if found else "create"
    wanted = configuration.wanted(desired.resource, desired.reading(used.key_arn, used.secret_arn))
    documents = (found.full_settings if found else {}, calls[-1].parameters)
    changed = change_of_policy("resource policy", *(json.loads(settings.get("Policy", "null")) for settings in documents))
    yield Change(
        action=action,
        kind=desired.resource.kind,
        name=_name(desired, found),
        settings=changes_of_settings(found.settings if found else None, wanted),
        policies=(changed,) if changed else (),
    )
