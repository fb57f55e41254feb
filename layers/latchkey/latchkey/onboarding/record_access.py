"""Records a validated access in the registry."""

from __future__ import annotations

from typing import Literal

from latchkey.access.desired import Desired
from latchkey.access.record import AccessRecord
from latchkey.events.outcomes import Resources
from latchkey.registry import Registry
from latchkey.wire import WireModel


class Recorded(WireModel):
    """The registry's version of the access."""

    access_id: str
    version: int


def record_access(
    desired: Desired, resources: Resources, status: Literal["active", "handed-off"], registry: Registry
) -> Recorded:
    """Records a validated access, unless this request has done so."""
    found = registry.accesses.get(desired.access_id)
    wanted = AccessRecord(
        access_id=desired.access_id,
        system=desired.system.name,
        status=status,
        reached=status,
        request_id=desired.request.request_id,
        key_arn=resources.key_arn or "",
        secret_arn=resources.secret_arn,
        resource_arn=resources.resource_arn,
        version=found.version if found else 0,
    )
    if desired.resource.origin_host and resources.secret_arn:
        registry.resources.add_origin_host(resources.secret_arn, desired.resource.origin_host)
    saved = found if found == wanted else registry.accesses.save(wanted, desired.request.wire)
    return Recorded(accessId=saved.access_id, version=saved.version)
