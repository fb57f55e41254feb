"""Records the result of an offboarding, or what a failed offboarding has left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from latchkey.access.desired import Desired
from latchkey.access.offboarded import Offboarded
from latchkey.aws.clients import Clients
from latchkey.aws.keys import find_key
from latchkey.aws.secrets import find_secret
from latchkey.events.outcomes import RemovedGrant, Scheduled
from latchkey.offboarding.step_input import Offboarding, OffboardingStep, RecordedPart, recorded_parts
from latchkey.registry import Registry
from latchkey.registry.journal import DETACHMENT, Entry
from latchkey.settings import Settings
from latchkey.tags import is_ours
from latchkey.wire import WireModel


class RecordOffboardingInput(OffboardingStep):
    """`failed`: a step failed, so the access is not recorded as offboarded.

    `grantsLeft` is the number of grants with the name of the resource that the last survey found.
    """

    failed: bool = False
    grants_left: int = 0


class OffboardingRecorded(WireModel):
    """The members of the outcome. `changed`: the request has changed something, which stays."""

    changed: bool
    result: dict[str, Any] = Field(default_factory=dict)


def record_offboarding(
    event: RecordOffboardingInput, settings: Settings, registry: Registry, clients: Clients
) -> OffboardingRecorded:
    """Records the access as offboarded, and releases what it no longer uses.

    If the offboarding failed before anything changed, the access is in service as before. If it failed later, the access stays
    in the phase `offboarding`, and another request finishes it.
    """
    if event.failed:
        return _record_failure(event, settings, registry, clients)
    offboarding = Offboarding(event, settings, registry, clients)
    entries, known = offboarding.journal.entries(), registry.offboardings.get(offboarding.access_id)
    removed = _removed_grants(offboarding.access_id, entries, registry)
    offboarded = known
    if known is None or known.request_id != event.request.request_id:
        offboarded = _offboarded(offboarding, entries, known)
        if not offboarded.reads:  # before the hand-off is discarded, whose key and secret no later attempt would know
            _release(offboarding.parts, registry)
        registry.offboardings.save(offboarding.parts[0].record, offboarded)
    else:  # an earlier attempt saved it, and the execution that continues the request has begun the phase again
        registry.phases.end(offboarding.access_id, "offboarding")
    result = _result(event, offboarding.parts[0], entries, removed) | _schedule(offboarded, entries)
    changed = any(entry.undone for entry in entries)
    is_new = known is None or changed or bool(removed)
    return OffboardingRecorded(changed=changed, result={"status": "offboarded" if is_new else "unchanged", **result})


def _record_failure(
    event: RecordOffboardingInput, settings: Settings, registry: Registry, clients: Clients
) -> OffboardingRecorded:
    """Ends the phase if this request began it and has changed nothing."""
    access_id = event.request.access_id
    phase = registry.phases.get(access_id)
    if phase is None or phase.name != "offboarding" or phase.request_id != event.request.request_id:
        # The access is recorded as offboarded, and only the response was lost; or another request holds the access.
        recorded = registry.offboardings.get(access_id)
        return OffboardingRecorded(changed=recorded is not None and recorded.request_id == event.request.request_id)
    journal = registry.journal.of(event.execution_arn, access_id, event.tenant)
    entry, desired = journal.entry(DETACHMENT), recorded_parts(access_id, settings, registry)[0].desired
    if entry is not None and _is_as_found(desired, entry, clients):
        journal.note_unchanged(DETACHMENT)
    changed = any(one.undone for one in journal.entries())
    if not changed and phase.facts.get("began") == event.request.request_id:
        registry.phases.end(access_id, "offboarding")
    return OffboardingRecorded(changed=changed)


def _is_as_found(desired: Desired, entry: Entry, clients: Clients) -> bool:
    """Whether the resource has the settings that the offboarding found."""
    configuration = desired.system.configuration
    present = configuration.read(clients.client_for(configuration.service), desired.resource) if configuration else None
    return configuration is None or configuration.is_same(present.full_settings if present else None, entry.found)


def _offboarded(offboarding: Offboarding, entries: Sequence[Entry], known: Offboarded | None) -> Offboarded:
    """The result of this request, with what an earlier offboarding has scheduled."""
    event, parts, clients = offboarding.event, offboarding.parts, offboarding.clients
    own_arn = parts[0].record.secret_arn
    deletion = next((entry for entry in _deletions(entries) if entry.wanted["arn"] == own_arn), None)
    reads = any(entry.kind == "detachment" and entry.result and entry.result["reads"] for entry in entries)
    secret_arn, secret_ends = (known.secret_arn, known.secret_ends) if known else (None, None)
    if deletion and (deletion.wanted["at"] or deletion.wanted["arn"] != secret_arn):
        secret_arn, secret_ends = str(deletion.wanted["arn"]), _end(deletion)
    due = (part.record.key_arn for part in parts if not reads and _is_key_due(part, secret_arn, clients))
    return Offboarded(
        request_id=event.request.request_id,
        at=datetime.now(UTC),
        reads=reads,
        secret_arn=secret_arn,
        secret_ends=secret_ends,
        key_arn=next(due, known.key_arn if known else None),
        waiting_days=event.asked.recovery_days,
    )


def _deletions(entries: Iterable[Entry]) -> list[Entry]:
    """The secrets that the request has scheduled for deletion: that of the access, and that of its unconfirmed hand-off."""
    return [entry for entry in entries if entry.kind == "secret-deletion" and not entry.left]


def _end(deletion: Entry) -> datetime | None:
    at = deletion.wanted["at"]
    return datetime.fromisoformat(at) if at else None


def _is_key_due(part: RecordedPart, secret_arn: str | None, clients: Clients) -> bool:
    """Whether the key can be deleted later: Latchkey created it, the request allowed that, and the secret is going or gone."""
    if not part.desired.request.key.allow_deletion:
        return False
    is_going = part.record.secret_arn == secret_arn or (
        part.record.secret_arn is not None and find_secret(clients.secretsmanager, part.record.secret_arn) is None
    )
    key = find_key(clients.kms, part.record.key_arn) if is_going else None
    return key is not None and key.state != "PendingDeletion" and is_ours(key.tags, part.desired.stack)


def _release(parts: Iterable[RecordedPart], registry: Registry) -> None:
    """Releases the key and the secret. A resource that Latchkey created stays one of this access."""
    for part in parts:
        registry.resources.release(part.record.key_arn, part.record.access_id)
        if part.desired.reads_secret:
            registry.resources.release(part.desired.secret_resource, part.record.access_id)


def _removed_grants(access_id: str, entries: Sequence[Entry], registry: Registry) -> tuple[RemovedGrant, ...]:
    """The grants that cleanups have removed since the resource was detached, with their evidence."""
    since = next((entry.noted for entry in entries if entry.kind == "detachment"), None)
    outcomes = registry.revocations.removed_since(access_id, since) if since else ()
    return tuple(RemovedGrant.model_validate_json(outcome) for outcome in outcomes)


def _result(
    event: RecordOffboardingInput, part: RecordedPart, entries: Sequence[Entry], removed: Sequence[RemovedGrant]
) -> dict[str, Any]:
    """What the outcome says about what was removed and what is left."""
    grants = [f"grants named {part.desired.grant_name} stay ({event.grants_left}): the sweep checks them again"]
    record = part.record
    arns = {"keyArn": record.key_arn, "secretArn": record.secret_arn, "resourceArn": record.resource_arn}
    return {
        "resources": {name: arn for name, arn in arns.items() if arn},
        "undone": sorted({text for entry in entries for text in entry.undone}),
        "left": sorted({*(grants if event.grants_left else ()), *(entry.left for entry in entries if entry.left)}),
        "steps": [step for entry in entries for step in (entry.result or {}).get("steps", ())],
        "evidence": [entry.evidence for entry in entries if entry.evidence],
        "removedGrants": [one.model_dump(mode="json", by_alias=True) for one in removed],
    }


def _schedule(offboarded: Offboarded | None, entries: Iterable[Entry]) -> dict[str, Any]:
    """What is deleted later: the secrets at the end of their recovery window, and then the key."""
    scheduled = list[Scheduled]()
    if offboarded and offboarded.secret_arn:
        scheduled.append(Scheduled(resource=offboarded.secret_arn, at=offboarded.secret_ends))
    known = {one.resource for one in scheduled}
    others = (entry for entry in _deletions(entries) if entry.wanted["arn"] not in known)
    scheduled += [Scheduled(resource=entry.wanted["arn"], at=_end(entry)) for entry in others]
    if offboarded and offboarded.key_arn:
        after, days = offboarded.secret_arn, offboarded.waiting_days
        scheduled.append(Scheduled(resource=offboarded.key_arn, after=after, waitingDays=days))
    return {"scheduled": [one.model_dump(mode="json", by_alias=True) for one in scheduled]}
