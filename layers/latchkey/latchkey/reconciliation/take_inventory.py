"""Takes the inventory of a reconciliation: the accesses that it compares with their requests."""

from __future__ import annotations

import json
from collections.abc import Iterator

from latchkey.aws.data_bucket import JSON_LINES, DataBucket
from latchkey.errors import Conflict, InvalidRequest, Problem
from latchkey.registry import Registry
from latchkey.registry.accesses import KnownAccess
from latchkey.registry.execution_input import SCHEDULED, ExecutionInput
from latchkey.requests.lifecycle import ReconciliationRequested
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel


class TakeInventoryInput(ExecutionInput):
    """The input of an execution, and its ARN."""

    execution_arn: str


class InventoryTaken(WireModel):
    """The object that lists the accesses, one in each line, and how many they are."""

    key: str
    accesses: int


def take_inventory(event: TakeInventoryInput, registry: Registry, bucket: DataBucket) -> InventoryTaken:
    """Lists the accesses in the scope of a reconciliation, those with the same key one after the other.

    Raises InvalidRequest with every problem of the request.
    """
    if event.request_id != SCHEDULED:
        _claim(event, registry)
    accesses = sorted(_in_scope(event, registry), key=lambda one: (one.record.key_arn if one.record else "", one.access_id))
    key = f"{folder_of(event.execution_arn)}accesses.jsonl"
    lines = [json.dumps({"accessId": one.access_id}) for one in accesses]
    bucket.write(key, "".join(f"{line}\n" for line in lines).encode(), JSON_LINES)
    return InventoryTaken(key=key, accesses=len(lines))


def folder_of(execution_arn: str) -> str:
    """The beginning of the keys of everything that a reconciliation writes."""
    return f"reconciliations/{execution_arn.rsplit(':', 1)[1]}/"


def _claim(event: TakeInventoryInput, registry: Registry) -> None:
    problems = {*event.problems}
    try:
        registry.requests.claim(event.ref, event.execution_arn)
    except Conflict as error:
        raise InvalidRequest({*problems, Problem("requestId", str(error))}) from None
    if problems or event.asked is None:
        raise InvalidRequest(problems)


def _in_scope(event: TakeInventoryInput, registry: Registry) -> Iterator[KnownAccess]:
    """The accesses that have a record and are not about to be offboarded.

    One whose resource is gone is only reconciled if the request names it: nothing can be repaired, and the sweep notices if
    the resource is created again.
    """
    asked = event.asked if isinstance(event.asked, ReconciliationRequested) else None
    for access in registry.accesses.all():
        record = access.record
        if record is None or access.state in ("offboarding", "offboarded"):
            continue
        if event.tenant not in (DEFAULT_TENANT, record.tenant):
            continue
        if asked is not None and asked.access_id is not None:
            if access.access_id == asked.access_id:
                yield access
        elif record.status != "gone" and (asked is None or asked.system in (None, record.system)):
            yield access
