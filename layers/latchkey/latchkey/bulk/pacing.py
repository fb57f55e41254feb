"""When the request of a line starts, so that the requests of all bulk requests together stay within the quotas of AWS."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from latchkey.aws.rates import COMMON, durations
from latchkey.registry import Registry
from latchkey.registry.requests import RequestRef
from latchkey.systems import SYSTEMS


def seconds_to_start(ref: RequestRef, system: str, raised: Mapping[str, float], registry: Registry) -> int:
    """In how many seconds the request of a line starts.

    The time is recorded, so that a resumed line keeps a time that has not passed. A request whose execution has
    begun needs no time any more. `raised` are the quotas that AWS has raised, by name.
    """
    now, planned = datetime.now(UTC), registry.requests.planned_start(ref)
    if planned.has_begun:
        return 0
    if planned.starts_at is not None and planned.starts_at > now:
        return _seconds(planned.starts_at - now)
    configuration = SYSTEMS[system].configuration
    quotas = (*COMMON, *(configuration.quotas if configuration else ()))
    used = durations(quotas, raised)
    reserved = [registry.slots.reserve(quota.name, math.ceil(1000 * seconds), now) for quota, seconds in used]
    start = max(reserved, default=now)
    registry.requests.plan_start(ref, start)
    return _seconds(start - now)


def _seconds(duration: timedelta) -> int:
    return max(0, math.ceil(duration.total_seconds()))
