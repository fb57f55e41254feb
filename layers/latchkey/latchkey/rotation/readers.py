"""The accesses that read one secret."""

from __future__ import annotations

from collections.abc import Iterator

from latchkey.access.desired import Desired, desire
from latchkey.access.record import AccessRecord
from latchkey.registry import Registry
from latchkey.settings import Settings


def readers_of(desired: Desired, settings: Settings, registry: Registry) -> Iterator[tuple[AccessRecord, Desired]]:
    """The recorded accesses that read the secret of an access, itself first, each with its record."""
    others = sorted(registry.resources.others(desired.secret_resource, desired.access_id))
    for access_id in (desired.access_id, *others):
        record, request = registry.accesses.get(access_id), registry.accesses.recorded_request(access_id)
        if record is None or request is None:
            continue
        reader = desire(request, settings, record.tenant)
        if reader.secret_resource == desired.secret_resource:
            yield record, reader
