"""Reads the evidence for the rules and the steps of an offboarding."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from latchkey.access.desired import Desired
from latchkey.aws.clients import Clients
from latchkey.aws.keys import find_key
from latchkey.aws.secrets import ObservedSecret, find_secret
from latchkey.events.outcomes import Evidence
from latchkey.offboarding.resource_change import uses_secret
from latchkey.offboarding.rules import OffboardingEvidence
from latchkey.offboarding.step_input import RecordedPart
from latchkey.registry import Registry
from latchkey.requests.lifecycle import OffboardingRequested
from latchkey.systems.system import Configured, CreatingConfiguration
from latchkey.tags import ACCESS, is_ours


def read_evidence(
    parts: tuple[RecordedPart, ...], asked: OffboardingRequested, registry: Registry, clients: Clients
) -> OffboardingEvidence:
    """The evidence about an access and its unconfirmed hand-off, which have the same resource."""
    desired, configuration = parts[0].desired, parts[0].desired.system.configuration
    client = clients.client_for(configuration.service) if configuration else None
    present = configuration.read(client, desired.resource) if configuration else None
    created = present is not None and was_created_for(parts[0], present, registry)
    owner_arn, owner_tags = configuration.consent_target(client, present) if configuration and present else ("", {})
    deletes = created and asked.resource == "delete" and isinstance(configuration, CreatingConfiguration)
    secrets = _found(find_secret(clients.secretsmanager, arn) for arn in {part.record.secret_arn for part in parts} if arn)
    return OffboardingEvidence(
        keys=_found(find_key(clients.kms, arn) for arn in {part.record.key_arn for part in parts}),
        secrets=secrets,
        present=present,
        created=created,
        owner_arn=owner_arn,
        owner_tags=owner_tags,
        former=registry.former_settings.get(desired.access_id),
        contents=configuration.contents(client, desired.resource)
        if deletes and isinstance(configuration, CreatingConfiguration)
        else (),
        deletes=frozenset(one.arn for one in secrets if _is_deletable(desired, one, registry)),
    )


def _found[T](items: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(item for item in items if item is not None)


def was_created_for(part: RecordedPart, present: Configured, registry: Registry) -> bool:
    """Whether Latchkey created a resource for an access, by its tags and the registry: anybody can set the tags."""
    desired, record = part.desired, part.record
    is_known = record.resource_arn == present.arn or registry.resources.is_referred(present.arn, desired.access_id)
    return is_known and is_ours(present.tags, desired.stack) and present.tags.get(ACCESS) == desired.access_id


def was_created_here(secret: ObservedSecret, stack: str, registry: Registry) -> bool:
    """Whether this stack created a secret: its tag names an access whose record or hand-off has the secret as a new one."""
    creator = secret.tags.get(ACCESS)
    if creator is None or not is_ours(secret.tags, stack):
        return False
    record, request = registry.accesses.get(creator), registry.accesses.recorded_request(creator)
    handoff = registry.accesses.to_confirm(creator)
    recorded = ((record, request), (handoff.record, handoff.request) if handoff else (None, None))
    return any(
        known is not None and known.secret_arn == secret.arn and wanted is not None and wanted.secret.value.existing is None
        for known, wanted in recorded
    )


def _is_deletable(desired: Desired, secret: ObservedSecret, registry: Registry) -> bool:
    if secret.is_being_deleted or not was_created_here(secret, desired.stack, registry):
        return False
    return not registry.resources.others(f"secret {secret.name}", desired.access_id)


def read_readers(desired: Desired, secret_arn: str, registry: Registry, clients: Clients) -> Evidence:
    """Who uses the secret: the accesses that refer to it, and the resources that are configured with it.

    The resource of the access is read on its own. Where the service lists all of its resources with their secrets, the list
    also finds those that Latchkey does not know.
    """
    configuration, at = desired.system.configuration, datetime.now(UTC)
    resources = set[str]()
    if configuration is not None:
        client = clients.client_for(configuration.service)
        present = configuration.read(client, desired.resource)
        if present is not None and uses_secret(desired, present):
            resources.add(present.arn)
        if desired.system.granted:
            _, granted = desired.system.granted
            named = granted.secrets_by_name(client).items()
            resources |= {granted.arn_of(name, desired.place) for name, arn in named if desired.is_secret(arn)}
    users = registry.resources.others(desired.secret_resource, desired.access_id)
    return Evidence(resource=secret_arn, readAt=at, accesses=tuple(sorted(users)), resources=tuple(sorted(resources)))
