"""What a complete inventory says that no read of a single access can say. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from latchkey.access.desired import Desired
from latchkey.access.findings.finding import finding
from latchkey.access.findings.grants import grant_findings
from latchkey.access.record import AccessRecord, access_id_of
from latchkey.aws.grants import Grant
from latchkey.aws.secrets import name_of_secret
from latchkey.events.findings import Finding, FindingKind
from latchkey.place import Place
from latchkey.systems import SYSTEMS
from latchkey.tags import CONSENT, MANAGED_BY, is_ours, is_ours_or_consented


@dataclass(frozen=True)
class InventoriedAccess:
    """A recorded access and its desired state."""

    desired: Desired
    record: AccessRecord

    @property
    def arns(self) -> tuple[str, ...]:
        """The ARNs of its key, its secret, its reader role and its resource, as far as it has them."""
        record, desired = self.record, self.desired
        role = desired.role(record.key_arn, record.secret_arn) if record.secret_arn else None
        named = (record.key_arn, record.secret_arn, role.arn(desired.place) if role else None, record.resource_arn)
        return tuple(arn for arn in named if arn)


@dataclass(frozen=True)
class Inventory:
    """What was read about the whole Region. What could not be read is in no mapping, so nothing is concluded about it.

    `accesses` are all recorded accesses, without those that are gone or offboarded. `known` is everything that the registry
    names otherwise: ARNs, and secrets as `secret <name>`, of references, journals, former keys and offboarded accesses. Both
    are complete. `tags` are the tags by ARN, `absent` are the ARNs that were shown not to exist, and `grants` are all grants by
    the key that they are on. `resources` are, by system, the resources with the secrets that they use: complete lists.
    """

    place: Place
    stack: str
    accesses: tuple[InventoriedAccess, ...]
    known: frozenset[str] = frozenset()
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    grants: Mapping[str, tuple[Grant, ...]] = field(default_factory=dict)
    resources: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)


def findings_of_inventory(inventory: Inventory) -> Mapping[str, tuple[Finding, ...]]:
    """The findings by access id or, if no record is concerned, by the ARN of the resource. Only those that have any."""
    found = {one.record.access_id: tuple(_of_record(one, inventory)) for one in inventory.accesses}
    found |= {arn: (_unrecorded(arn, tags),) for arn, tags in _unrecorded_resources(inventory)}
    for key_arn, grants in inventory.grants.items():
        found[key_arn] = (*found.get(key_arn, ()), *_of_unrecorded_grants(grants, inventory))
    return {subject: findings for subject, findings in found.items() if findings}


def untagged(arn: str, tags: Mapping[str, str], stack: str) -> Iterator[Finding]:
    """The finding about a recorded resource that has neither our tag nor the consent of its owner."""
    if not is_ours_or_consented(tags, stack):
        evidence = f"{arn}: {MANAGED_BY} is {tags.get(MANAGED_BY)}, {CONSENT} is {tags.get(CONSENT)}"
        yield finding(FindingKind.RECORDED_UNTAGGED, evidence)


def without_resource(arns: tuple[str, ...]) -> Finding:
    """The finding about a record of which nothing exists."""
    return finding(FindingKind.RECORD_WITHOUT_RESOURCE, f"none of these exists: {', '.join(arns)}")


def _of_record(access: InventoriedAccess, inventory: Inventory) -> Iterator[Finding]:
    if inventory.absent.issuperset(access.arns):
        yield without_resource(access.arns)
        return
    for arn in access.arns:
        if arn != access.record.resource_arn and arn in inventory.tags:
            yield from untagged(arn, inventory.tags[arn], inventory.stack)
    record, desired = access.record, access.desired
    expected = desired.grant_for(record.secret_arn, record.resource_arn) if record.secret_arn and record.resource_arn else None
    if expected and record.is_in_service and record.key_arn in inventory.grants:
        yield from grant_findings(expected, inventory.grants[record.key_arn], record.key_arn)


def _unrecorded_resources(inventory: Inventory) -> Iterator[tuple[str, Mapping[str, str]]]:
    recorded = {arn for access in inventory.accesses for arn in access.arns} | inventory.known
    for arn, tags in inventory.tags.items():
        name = f"secret {name_of_secret(arn)}" if ":secret:" in arn else arn
        if is_ours(tags, inventory.stack) and recorded.isdisjoint((arn, name)):
            yield arn, tags


def _unrecorded(arn: str, tags: Mapping[str, str]) -> Finding:
    return finding(
        FindingKind.RESOURCE_UNRECORDED, f"{arn} has the tag {MANAGED_BY}={tags[MANAGED_BY]}, and no record names it"
    )


def _of_unrecorded_grants(grants: tuple[Grant, ...], inventory: Inventory) -> Iterator[Finding]:
    """The grants for resources of no record that do not exist. A resource that exists can use the key without Latchkey."""
    recorded = {access.record.access_id for access in inventory.accesses}
    for grant in grants:
        for system in SYSTEMS.values():
            name = system.granted[0].resource_of(inventory.place, grant.name) if system.granted else None
            listed = inventory.resources.get(system.name)
            if name and listed is not None and name not in listed and access_id_of(system, name) not in recorded:
                evidence = f"{grant.name}, {grant.grant_id}: {system.name} has no {system.resource.kind} {name}"
                yield finding(FindingKind.GRANT_STALE, evidence)
