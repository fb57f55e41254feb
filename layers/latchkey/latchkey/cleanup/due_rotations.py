"""The rotations that a sweep starts: those that are due, and the withdrawal of those that nobody confirmed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from latchkey.access.desired import desire
from latchkey.access.rotating import Rotating
from latchkey.registry.accesses import KnownAccess
from latchkey.registry.execution_input import ExecutionInput
from latchkey.requests.lifecycle import ROTATION_REQUESTED, RotationRequested
from latchkey.requests.models import OnboardingRequest
from latchkey.settings import Settings


def due_rotations(
    known: Iterable[KnownAccess], rotated_at: Callable[[str], datetime | None], settings: Settings, now: datetime
) -> Iterator[ExecutionInput]:
    """The executions to start. `rotated_at` returns when a secret of the registry was last rotated.

    An access is tried once a day until its rotation is done. Its outcomes say why it is not. Of the accesses that read one
    secret, only one is tried, because rotations of one secret at the same time reject each other.
    """
    tried = set[str]()
    for access in known:
        if access.record is None or access.is_running:
            continue
        if access.phase is not None:
            yield from _expired(access, now)
        elif access.state == "active":
            yield from _scheduled(access, rotated_at, settings, now, tried)


def _expired(access: KnownAccess, now: datetime) -> Iterator[ExecutionInput]:
    phase, request = access.phase, access.request
    if phase is None or phase.name != "rotating" or request is None:
        return
    rotating = Rotating.model_validate_json(json.dumps(phase.facts))
    if rotating.is_overdue(now):
        yield _execution(access, request, f"withdrawal-{_hash(phase.request_id)}", {"withdraw": True}, now)


def _scheduled(
    access: KnownAccess,
    rotated_at: Callable[[str], datetime | None],
    settings: Settings,
    now: datetime,
    tried: set[str],
) -> Iterator[ExecutionInput]:
    request, record = access.request, access.record
    if request is None or record is None or request.rotation is None:
        return
    secret = desire(request, settings, record.tenant).secret_resource
    last = rotated_at(secret) or access.recorded_at
    if last is not None and request.rotation.is_due(last, now) and secret not in tried:
        tried.add(secret)
        asked = {"pendingDays": request.rotation.pending_days}
        yield _execution(access, request, f"rotation-{_hash(f'{access.access_id} {last.isoformat()}')}", asked, now)


def _execution(
    access: KnownAccess, request: OnboardingRequest[Any], name: str, asked: dict[str, Any], now: datetime
) -> ExecutionInput:
    request_id = f"{name}-{now.date().isoformat()}"
    content = RotationRequested.model_validate({"requestId": request_id, "accessId": access.access_id, **asked})
    tenant = access.record.tenant if access.record else ""
    return ExecutionInput(
        requestId=request_id,
        contentHash=hashlib.sha256(content.model_dump_json(by_alias=True).encode()).hexdigest(),
        system=request.system,
        accessId=access.access_id,
        request=request.model_copy(update={"request_id": request_id}),
        tenant=tenant,
        kind=ROTATION_REQUESTED,
        asked=content,
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
