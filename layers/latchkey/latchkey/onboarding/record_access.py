"""Records a validated access in the registry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from latchkey.access.desired import Desired, desire
from latchkey.access.former_settings import former_settings
from latchkey.access.record import AccessRecord
from latchkey.errors import Conflict
from latchkey.events.outcomes import Resources
from latchkey.onboarding.step_input import StepInput
from latchkey.registry import Registry
from latchkey.registry.journal import RECORD, RESOURCE, UNSEEN, RequestJournal
from latchkey.requests.models import OnboardingRequest
from latchkey.settings import Settings
from latchkey.wire import WireModel


class RecordAccessInput(StepInput):
    """The request, the ARNs of its key, secret, role and resource, and the status that the access has reached.

    `confirms` is true for a confirmed hand-off. `rehearses`: nothing is recorded, but the record is written as it is, so that a
    registry that cannot be written fails the request before it makes a change that cannot be rolled back. A `repair` leaves the
    recorded request as it is, because nobody has sent another one, and what the access has reached. Only an access that is
    repaired can stay revoked, for a reason that a repair does not correct.
    """

    resources: Resources
    status: Literal["active", "handed-off", "revoked"]
    confirms: bool = False
    rehearses: bool = False


class Recorded(WireModel):
    """The version of the access in the registry."""

    access_id: str
    version: int


def record_access(event: RecordAccessInput, settings: Settings, registry: Registry) -> Recorded:
    """Records a validated access with its status, unless this request has already recorded it.

    A hand-off does not replace the record of an access in service. Until it is confirmed, the recorded resource is the current
    one, so cleanups and the sweep must continue to report on it.
    """
    desired, resources = desire(event.request, settings, event.tenant), event.resources
    found = registry.accesses.get(desired.access_id)
    journal = registry.journal_of(event.execution_arn, desired.access_id, event.tenant)
    wanted = AccessRecord(
        access_id=desired.access_id,
        system=desired.system.name,
        status=event.status,
        reached=found.reached if found and event.repair else event.status,
        request_id=desired.request.request_id,
        key_arn=resources.key_arn or "",
        secret_arn=resources.secret_arn,
        resource_arn=resources.resource_arn,
        version=found.version if found else 0,
        tenant=event.tenant,
    )
    for companion in event.companions:
        _record_companion(companion, event, registry)
    if event.rehearses:
        registry.accesses.rehearse(desired.access_id, wanted.version)
        return Recorded(accessId=wanted.access_id, version=wanted.version)
    if found == wanted:
        return Recorded(accessId=wanted.access_id, version=wanted.version)
    journal.intend(RECORD, {"confirms": event.confirms}, found=registry.accesses.snapshot(desired.access_id))
    if event.status == "handed-off" and found and found.is_in_service:
        registry.accesses.save_handoff(wanted, desired.request.recorded)
        return Recorded(accessId=found.access_id, version=found.version)
    _note_former_settings(desired, journal, registry)
    fulfilled = registry.accesses.recorded_request(desired.access_id) if event.repair else None
    remaining = event.repair.remaining if event.repair else ()
    saved = registry.accesses.save(wanted, (fulfilled or desired.request).recorded, remaining)
    return Recorded(accessId=saved.access_id, version=saved.version)


def _record_companion(request: OnboardingRequest[Any], event: RecordAccessInput, registry: Registry) -> None:
    """Records the new key of another access that moves with the one of the request, unless this request has recorded it."""
    found = registry.accesses.get(request.access_id)
    if found is None:
        raise Conflict(f"the record of {request.access_id} was removed during this request: send the request again")
    moved = replace(found, key_arn=event.resources.key_arn or "", request_id=request.request_id)
    if event.rehearses:
        registry.accesses.rehearse(request.access_id, found.version)
    elif found != moved:
        journal = registry.journal_of(event.execution_arn, request.access_id, event.tenant)
        journal.intend(RECORD, {"confirms": False}, found=registry.accesses.snapshot(request.access_id))
        registry.accesses.save(moved, request.recorded)


def _note_former_settings(desired: Desired, journal: RequestJournal, registry: Registry) -> None:
    """Records the settings that the request found, because a success deletes its journal and an offboarding restores them."""
    entry, configuration = journal.entry(RESOURCE), desired.system.configuration
    if entry is None or configuration is None:
        return
    left = None if entry.result == UNSEEN else entry.result
    known = registry.former_settings.get(desired.access_id)
    registry.former_settings.note(desired.access_id, former_settings(configuration, known, entry.found, left))
