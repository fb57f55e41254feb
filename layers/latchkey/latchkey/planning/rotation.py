"""Plans a rotation, its confirmation or its withdrawal, by running its verbs in the order of the state machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from latchkey.access.desired import Desired
from latchkey.access.plan import Change
from latchkey.aws.planned import PlannedChanges
from latchkey.onboarding.create_secret import PendingVersion, add_version
from latchkey.onboarding.secret_values import PlannedValues
from latchkey.planning.described import described, stays
from latchkey.planning.draft import Draft, World
from latchkey.planning.permissions import ConfiguredResource, missing_permissions, needs_of_calls
from latchkey.registry.planned import PLAN
from latchkey.requests.lifecycle import RotationConfirmed, RotationRequested
from latchkey.rotation.apply_token import apply_token
from latchkey.rotation.check_rotation import intend_rotation
from latchkey.rotation.plan import RotationPlan, RotationStep
from latchkey.rotation.promote_token import PromoteTokenInput, promote_token
from latchkey.rotation.read_evidence import EvidenceReader
from latchkey.rotation.rules import Reader, RotationEvidence
from latchkey.rotation.withdraw_token import withdraw_token


def plan_rotation(desired: Desired, asked: RotationRequested | RotationConfirmed, plan: RotationPlan, world: World) -> Draft:
    """The plan of a request that has passed its rules. `plan` is the result of check_rotation."""
    settings, registry = world.settings, world.registry
    source = asked.value.copy_from if isinstance(asked, RotationRequested) and not asked.withdraw else None
    evidence = EvidenceReader(settings, registry, world.clients, world.secretsmanager_in).read(desired, plan.secret_arn, source)
    reads = _facts(desired, evidence, world)
    intend_rotation(registry.journal_of(PLAN, desired.access_id, desired.tenant), plan, evidence)
    changes = world.no_changes()
    _run(desired, plan, changes, world)
    resources = dict(_configured(evidence))
    needs = needs_of_calls(changes, next(iter(resources.values()), None), resources)
    return Draft(
        content={"kind": asked.kind, "tenant": desired.tenant, "request": asked.content},
        reads=reads,
        changes=(*_changes(plan, evidence, changes),),
        operations=tuple(f"{call.service}:{call.operation}" for call in changes.calls),
        missing=(*missing_permissions(needs, world.clients.iam),),
    )


def _run(desired: Desired, plan: RotationPlan, changes: PlannedChanges, world: World) -> None:
    """Runs the steps that change something, each with the role of its function."""
    settings, registry, roles = world.settings, world.registry, world.roles
    members = {"request": desired.request, "tenant": desired.tenant, "executionArn": PLAN, "plan": plan}
    step = RotationStep.model_validate(members)
    if plan.withdraws:
        withdraw_token(step, settings, registry, changes.clients(roles.withdraw_token).secretsmanager)
        return
    if not plan.promotes:
        _stage(desired, plan, plan.version, plan.former, changes, world)
    if plan.waits:
        return
    promoting = changes.clients(roles.promote_token).secretsmanager
    promote_token(PromoteTokenInput.model_validate(members), settings, registry, promoting)
    if plan.revokes and plan.second is not None:
        _stage(desired, plan, plan.second, plan.version, changes, world)
        promote_token(PromoteTokenInput.model_validate(members | {"again": True}), settings, registry, promoting)
    if plan.is_applied:
        apply_token(step, settings, registry, changes.clients(roles.apply_token))


def _stage(desired: Desired, plan: RotationPlan, version: str, former: str, changes: PlannedChanges, world: World) -> None:
    pending = PendingVersion(
        secretArn=plan.secret_arn,
        version=version,
        former=former,
        value=plan.value,
        shortest=plan.shortest,
        longest=plan.longest,
        repeats=plan.version if version == plan.second else None,
    )
    journal = world.registry.journal_of(PLAN, desired.access_id, desired.tenant)
    storing = changes.clients(world.roles.create_secret).secretsmanager
    add_version(desired, pending, journal, storing, PlannedValues(replaces=True).new)


def _facts(desired: Desired, evidence: RotationEvidence, world: World) -> Mapping[str, object]:
    """What the rules and the steps read, in parts that a rejection can name."""
    phase = world.registry.phases.get(desired.access_id)
    facts = {
        "the secret": evidence.secret,
        "the versions that Latchkey accepts": evidence.known,
        "the copied secret": evidence.source,
        "the hosts that receive the token": evidence.hosts,
        "an access of the secret": [_fact(reader) for reader in evidence.readers],
        "the pending rotation": phase.facts if phase else None,
    }
    return {name: value for name, value in facts.items() if value}


def _fact(reader: Reader) -> object:
    request = reader.desired.request
    return (request.access_id, request.content, reader.key_arn, reader.waits, reader.changes, reader.present)


def _configured(evidence: RotationEvidence) -> Iterator[tuple[str, ConfiguredResource]]:
    """The resources that can be configured again, by name."""
    for reader in evidence.readers:
        if (present := reader.present) is not None:
            yield reader.desired.resource.name, ConfiguredResource(present.arn, present.tags, present.settings.get("roleArn"))


def _changes(plan: RotationPlan, evidence: RotationEvidence, changes: PlannedChanges) -> Iterator[Change]:
    yield from map(described, changes.resources)
    if changes.find("secret", plan.secret_arn) is None:
        yield stays("secret", plan.secret_arn)
    yield stays("key", plan.key_arn)
    for reader in evidence.readers:
        if reader.present is not None:
            yield stays(reader.desired.resource.kind, reader.present.arn)
