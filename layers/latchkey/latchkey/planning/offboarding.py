"""Plans an offboarding by running its verbs in the order of the state machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from latchkey.access.desired import Desired
from latchkey.access.plan import Change, SettingChange
from latchkey.aws.clients import Clients
from latchkey.aws.keys import key_policy
from latchkey.aws.planned import PlannedChanges
from latchkey.aws.roles import find_role
from latchkey.aws.secrets import secret_policy
from latchkey.cleanup.clean_up_grants import GrantCleanup
from latchkey.cleanup.survey import Surveyor
from latchkey.offboarding.delete_secret import delete_secret
from latchkey.offboarding.detach_resource import detach_resource
from latchkey.offboarding.read_evidence import read_evidence
from latchkey.offboarding.record_offboarding import RecordOffboardingInput, record_offboarding
from latchkey.offboarding.remove_policies import remove_policies
from latchkey.offboarding.rules import OffboardingEvidence
from latchkey.offboarding.step_input import OffboardingStep, RecordedPart, recorded_parts
from latchkey.planning.described import described, read_resource, resource_change, stays
from latchkey.planning.draft import Draft, World
from latchkey.planning.permissions import ConfiguredResource, missing_permissions, needs_of_calls
from latchkey.registry.planned import PLAN, PlannedRegistry
from latchkey.requests.lifecycle import OffboardingRequested
from latchkey.settings import Settings
from latchkey.systems.system import Configured


def plan_offboarding(desired: Desired, asked: OffboardingRequested, world: World) -> Draft:
    """The plan of an offboarding that has passed its rules.

    A grant that MediaTailor itself retires is not revoked, so RevokeGrant is the only planned call that may not be made.
    """
    settings, registry, roles = world.settings, world.registry, world.roles
    parts = recorded_parts(desired.access_id, settings, registry)
    evidence = read_evidence(parts, asked, registry, world.clients)
    reads = _facts(parts, evidence, world)
    changes = world.no_changes()
    members = {"request": desired.request, "asked": asked, "tenant": desired.tenant, "executionArn": PLAN}
    step = OffboardingStep.model_validate(members)
    if not detach_resource(step, settings, registry, changes.clients(roles.detach_resource)).reads:
        _revoke_grants(parts[0], changes.clients(roles.clean_up_grants), settings, registry)
        remove_policies(step, settings, registry, changes.clients(settings.remove_role_arn))
        delete_secret(step, settings, registry, changes.clients(roles.delete_secret))
    record_offboarding(RecordOffboardingInput.model_validate(members), settings, registry, changes.clients(""))
    present = read_resource(desired, changes.clients(""))
    return Draft(
        content={"kind": asked.kind, "tenant": desired.tenant, "request": asked.content},
        reads=reads,
        changes=(*_changes(parts, evidence.present, present, changes, registry),),
        operations=tuple(f"{call.service}:{call.operation}" for call in changes.calls),
        missing=(*missing_permissions(needs_of_calls(changes, _configured(evidence, present)), world.clients.iam),),
    )


def _revoke_grants(part: RecordedPart, clients: Clients, settings: Settings, registry: PlannedRegistry) -> None:
    """Revokes the grants that a survey finds orphaned now that the resource is detached, as a cleanup does."""
    if part.desired.system.granted is None:
        return
    surveyor = Surveyor(clients.kms, clients.secretsmanager, clients.client_for)
    survey = GrantCleanup(settings, registry, surveyor, clients.updating).survey(part.record.access_id, [part.record.key_arn])
    for grant in survey.grants:
        if grant.verdict == "orphaned":
            clients.kms.revoke_grant(KeyId=grant.key_arn, GrantId=grant.grant_id)


def _facts(parts: tuple[RecordedPart, ...], evidence: OffboardingEvidence, world: World) -> Mapping[str, object]:
    """What the rules and the steps read, in parts that a rejection can name."""
    registry, clients, access_id = world.registry, world.clients, parts[0].record.access_id
    phase, roles = registry.phases.get(access_id), [part.role_arn for part in parts if part.role_arn]
    resources = registry.resources
    facts = {
        "the record of the access": [_status(part) for part in parts],
        "the recorded request": [part.desired.request.content for part in parts],
        "the phase of the access": phase.name if phase else None,
        "an earlier offboarding": registry.offboardings.get(access_id),
        "the key": evidence.keys,
        "the policy of the key": [key_policy(clients.kms, key.arn) for key in evidence.keys if key.state != "PendingDeletion"],
        "the use of the key": [resources.others(key.arn, access_id) for key in evidence.keys],
        "the secret": evidence.secrets,
        "the policy of the secret": [
            secret_policy(clients.secretsmanager, secret.arn) for secret in evidence.secrets if not secret.is_being_deleted
        ],
        "the use of the secret": [resources.others(f"secret {secret.name}", access_id) for secret in evidence.secrets],
        "the reader role": [find_role(clients.iam, arn.rsplit("/", 1)[1]) for arn in roles],
        "the resource": evidence.present,
        "the contents of the resource": evidence.contents,
        "the consent to the resource": dict(evidence.owner_tags),
        "the former settings of the resource": evidence.former,
    }
    return {name: value for name, value in facts.items() if value}


def _status(part: RecordedPart) -> object:
    """The record without what changes with every observation."""
    record = part.record
    return (record.status, record.reached, record.key_arn, record.secret_arn, record.resource_arn, record.tenant)


def _configured(evidence: OffboardingEvidence, present: Configured | None) -> ConfiguredResource | None:
    """The resource, and the role that it had before and is configured with again."""
    if evidence.present is None:
        return None
    passed = present.settings.get("roleArn") if present else None
    return ConfiguredResource(evidence.present.arn, evidence.present.tags, passed or None)


def _changes(
    parts: tuple[RecordedPart, ...],
    before: Configured | None,
    after: Configured | None,
    changes: PlannedChanges,
    registry: PlannedRegistry,
) -> Iterator[Change]:
    for resource in changes.resources:
        yield _deleted_later(described(resource), parts, registry)
    for kind, name in dict.fromkeys(_used(parts)):
        if changes.find(kind, name) is None:
            yield _deleted_later(stays(kind, name), parts, registry)
    if before is not None:
        yield resource_change(parts[0].desired.resource.kind, before, after)


def _used(parts: tuple[RecordedPart, ...]) -> Iterator[tuple[str, str]]:
    for part in parts:
        yield "key", part.record.key_arn
        if part.record.secret_arn:
            yield "secret", part.record.secret_arn
        if part.role_arn:
            yield "role", part.role_arn


def _deleted_later(change: Change, parts: tuple[RecordedPart, ...], registry: PlannedRegistry) -> Change:
    """The change of a key with its deletion, which the sweep schedules after the secret is gone."""
    offboarded = registry.offboardings.get(parts[0].record.access_id)
    if offboarded is None or change.kind != "key" or change.name != offboarded.key_arn:
        return change
    later = SettingChange(name="deletedAfter", after=offboarded.secret_arn or parts[0].record.secret_arn)
    waiting = SettingChange(name="waitingDays", after=offboarded.waiting_days)
    return change.model_copy(update={"action": "update", "settings": (*change.settings, later, waiting)})
