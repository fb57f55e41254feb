"""Removes the secret from the consumer resource, and reads the resource again to prove it."""

from __future__ import annotations

from functools import partial
from typing import Any

from latchkey.access.desired import Desired
from latchkey.aws.clients import Clients
from latchkey.errors import Conflict, TransientAwsError
from latchkey.offboarding.read_evidence import read_readers, was_created_for
from latchkey.offboarding.removal import removal_of
from latchkey.offboarding.resource_change import ResourceChange, change_of, uses_secret
from latchkey.offboarding.step_input import Offboarding, OffboardingStep
from latchkey.registry import Registry
from latchkey.registry.journal import DETACHMENT
from latchkey.removal.removal import Removal
from latchkey.removal.resource import restore_settings
from latchkey.settings import Settings
from latchkey.systems.system import Configuration, Configured, CreatingConfiguration
from latchkey.tags import CONSENT
from latchkey.wire import WireModel

__all__ = ["Detached", "OffboardingStep", "detach_resource"]


class Detached(WireModel):
    """`reads`: the resource is still configured with the secret, so everything that it needs must stay."""

    arn: str | None
    reads: bool
    changed: bool = False


def detach_resource(event: OffboardingStep, settings: Settings, registry: Registry, clients: Clients) -> Detached:
    """Restores, detaches or deletes the resource, or leaves it as it is, as `change_of` decides.

    An update replaces all settings, so the last read comes immediately before it. If the resource has changed since the step
    decided, nothing is written: TransientAwsError is raised, and the retry decides again. The step is
    idempotent, and the journal keeps what a crashed attempt has done. The clients must not retry.
    """
    offboarding = Offboarding(event, settings, registry, clients)
    part, journal = offboarding.parts[0], offboarding.journal
    desired, configuration = part.desired, part.desired.system.configuration
    if configuration is None:
        raise Conflict(f"no API configures the resources of {desired.system.name}")
    present = configuration.read(clients.client_for(configuration.service), desired.resource)
    created = present is not None and was_created_for(part, present, registry)
    former = registry.former_settings.get(desired.access_id)
    change = change_of(desired, event.asked.resource, present, former, created=created)
    journal.note_removal(DETACHMENT, found=present.full_settings if present else None)
    problem = change.reason if change.action == "leave" else None
    if change.changes and present is not None:
        problem = _carry_out(removal_of(offboarding, part, DETACHMENT), configuration, present, change, created=created)
    return _result(offboarding, configuration, problem)


def _text(change: ResourceChange, arn: str) -> str:
    """What the outcome says about the resource."""
    if change.action == "delete":
        return f"deleted {arn}"
    if change.action == "restore":
        return f"restored the former settings of {arn}"
    return f"removed the secret from the settings of {arn}" + (
        f" without restoring its former settings, because {change.reason}" if change.reason else ""
    )


def _carry_out(
    removal: Removal, configuration: Configuration, present: Configured, change: ResourceChange, *, created: bool
) -> str | None:
    """Changes the resource. Returns the reason if it does not have the wanted settings afterwards."""
    client, resource = removal.clients.client_for(configuration.service), removal.desired.resource
    _require_approval(configuration, client, present, created=created, deletes=change.action == "delete")
    removal.note(_text(change, present.arn))
    # No call between the last read and the change: a change by the owner in between would be lost. For a deletion, the contents
    # are read last, because the service may delete them with the resource.
    latest = configuration.read(client, resource)
    if latest is None or not configuration.is_unchanged(latest, present):
        raise TransientAwsError(f"{present.arn} changed after this request read it")
    if change.action == "delete" and isinstance(configuration, CreatingConfiguration):
        if contents := configuration.contents(client, resource):
            rule = f"{latest.arn} contains {', '.join(contents[:10])}: delete these first, or set resource to detach"
            raise Conflict(rule)
        configuration.delete(client, resource)
        return None
    return restore_settings(removal, configuration, latest, change.settings or {}, partial(_still_used, removal.desired))


def _still_used(desired: Desired, present: Configured) -> str | None:
    return f"{present.arn} still uses the secret" if uses_secret(desired, present) else None


def _require_approval(configuration: Configuration, client: Any, present: Configured, *, created: bool, deletes: bool) -> None:
    """Raises Conflict if the owner no longer consents. An owner can withdraw consent at any time.

    Nobody consents to a deletion: the owner can have created the resource anew since the request was checked.
    """
    if created:
        return
    if deletes:
        raise Conflict(f"{present.arn} is no longer the resource that Latchkey created: send the request again with detach")
    arn, tags = configuration.consent_target(client, present)
    if tags.get(CONSENT) != "adopt":
        raise Conflict(f"{arn} is not approved for use by Latchkey: add the tag {CONSENT}=adopt, or set resource to leave")


def _result(offboarding: Offboarding, configuration: Configuration, problem: str | None) -> Detached:
    """Reads the resource again. The read is the evidence that the service no longer reads the secret for it."""
    part, journal, clients = offboarding.parts[0], offboarding.journal, offboarding.clients
    secret_arn = part.record.secret_arn or ""
    present = configuration.read(clients.client_for(configuration.service), part.desired.resource)
    reads = present is not None and uses_secret(part.desired, present)
    evidence = read_readers(part.desired, secret_arn, offboarding.registry, clients)
    journal.note_evidence(DETACHMENT, evidence.model_dump(mode="json", by_alias=True))
    journal.leave_nothing(DETACHMENT)
    if present is not None and reads:
        reason = problem or "its owner has configured it again"
        journal.leave(
            DETACHMENT,
            f"{present.arn} still uses {secret_arn}, so the secret, its key, the policies and the role stay: {reason}",
        )
    elif problem:
        journal.leave(DETACHMENT, problem)
    steps = _steps(part.desired, present) if present is not None and reads else ()
    journal.complete(DETACHMENT, {"reads": reads, "steps": steps})
    entry = journal.entry(DETACHMENT)
    changed = entry is not None and bool(entry.undone)
    return Detached(arn=present.arn if present else None, reads=reads, changed=changed)


def _steps(desired: Desired, present: Configured) -> tuple[str, ...]:
    """The steps by which a person removes the secret from the resource."""
    configuration = desired.system.configuration
    by_hand = configuration.steps_without_api(desired.resource) if configuration else ()
    again = "Send Offboarding Requested again with this accessId. Latchkey then removes the rest."
    return (*(by_hand or (f"Remove the secret from the settings of {present.arn}.",)), again)
