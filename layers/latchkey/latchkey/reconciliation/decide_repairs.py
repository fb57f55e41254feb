"""Decides which accesses a reconciliation repairs, and writes the inputs of their executions."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from pydantic import AwareDatetime

from latchkey.access.findings.known import KnownFindings
from latchkey.access.remedy import repair_request
from latchkey.aws.data_bucket import JSON_LINES, DataBucket
from latchkey.events.findings import Repair
from latchkey.reconciliation.take_inventory import InventoryTaken, folder_of
from latchkey.registry import Registry
from latchkey.registry.execution_input import ExecutionInput
from latchkey.requests.lifecycle import REPAIR_DUE, ReconciliationRequested
from latchkey.tags import DEFAULT_TENANT
from latchkey.wire import WireModel


class DecideRepairsInput(ExecutionInput):
    """The input of the reconciliation, its ARN, when it started, and its inventory."""

    execution_arn: str
    started_at: AwareDatetime
    inventory: InventoryTaken

    @property
    def is_whole(self) -> bool:
        """Whether all accesses of all tenants are in the scope of the reconciliation."""
        asked = self.asked if isinstance(self.asked, ReconciliationRequested) else None
        return self.tenant == DEFAULT_TENANT and (asked is None or (asked.system, asked.access_id) == (None, None))


class DecidedRepairs(WireModel):
    """What the reconciliation has found, and the object with the inputs of the repairs, one in each line.

    `observed` is the number of accesses that were observed, and `unread` of those that were not: they could not be read, or a
    request was running. `findings` are the numbers of findings by kind. `due` is the number of accesses that are to be
    repaired, and `repairs` of those whose repair starts now: none of them if `storm` is true. `flapping` is the number of
    accesses with findings that came back after several repairs. `report` is the object that lists all findings.
    """

    key: str
    report: str
    observed: int
    unread: int
    drifted: int
    findings: dict[str, int]
    due: int
    repairs: int
    storm: bool
    flapping: int


def decide_repairs(event: DecideRepairsInput, registry: Registry, bucket: DataBucket, max_repairs: int) -> DecidedRepairs:
    """Starts no repair if more accesses are to be repaired than `max_repairs`, unless the request acknowledges that.

    Each repair is recorded before it starts, so that a finding that comes back is noticed. Raises AccessDenied or Conflict if
    the inventory cannot be read: without it, nothing is known about any access.
    """
    inventory = bucket.read(event.inventory.key)
    inventoried = {json.loads(line)["accessId"] for line in inventory.splitlines()}
    seen = [one for one in registry.findings.all() if one.access_id in inventoried and one.seen_at >= event.started_at]
    due = [one for one in seen if one.due]
    acknowledged = isinstance(event.asked, ReconciliationRequested) and event.asked.acknowledge_storm
    is_storm = len(due) > max_repairs and not acknowledged
    repairs = [] if is_storm else [*_repairs(event, due, registry)]
    key, report = (f"{folder_of(event.execution_arn)}{name}.jsonl" for name in ("repairs", "findings"))
    lines = [json.dumps({"name": one.request_id, "input": one.model_dump(mode="json", by_alias=True)}) for one in repairs]
    bucket.write(key, _lines(lines), JSON_LINES)
    bucket.write(report, _lines([_report(one) for one in seen if one.findings]), JSON_LINES)
    return DecidedRepairs(
        key=key,
        report=report,
        observed=len(seen),
        unread=event.inventory.accesses - len(seen),
        drifted=sum(bool(one.findings) for one in seen),
        findings=dict(sorted(Counter(finding.kind.value for one in seen for finding in one.findings).items())),
        due=len(due),
        repairs=len(repairs),
        storm=is_storm,
        flapping=sum(bool(one.flapping) for one in seen),
    )


def _repairs(event: DecideRepairsInput, due: Sequence[KnownFindings], registry: Registry) -> Iterator[ExecutionInput]:
    """The inputs of the repairs. One that another reconciliation has started since the access was observed is left out."""
    for found in due:
        record, request = registry.accesses.get(found.access_id), registry.accesses.recorded_request(found.access_id)
        name = hashlib.sha256(f"{event.execution_arn} {found.access_id}".encode()).hexdigest()[:24]
        request_id = f"repair-{name}"
        if record is None or request is None or (found.is_attempted and request_id not in found.attempts):
            continue
        if not registry.findings.note_attempt(found, request_id, datetime.now(UTC)):
            continue
        repair = repair_request(request, request_id)
        # The commands are for people. Without them, an input with many findings stays small.
        findings, remaining = (
            tuple(one.model_copy(update={"remedy": ()}) for one in found.findings if (one in found.due_findings) is is_due)
            for is_due in (True, False)
        )
        yield ExecutionInput(
            requestId=request_id,
            contentHash=hashlib.sha256(json.dumps(repair.wire, sort_keys=True).encode()).hexdigest(),
            system=record.system,
            accessId=record.access_id,
            request=repair,
            tenant=record.tenant,
            kind=REPAIR_DUE,
            repair=Repair(findings=findings, remaining=remaining, reconciliation=event.execution_arn),
        )


def _report(found: KnownFindings) -> str:
    findings = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in found.findings]
    return json.dumps({"accessId": found.access_id, "findings": findings, "flapping": sorted(found.flapping)})


def _lines(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
