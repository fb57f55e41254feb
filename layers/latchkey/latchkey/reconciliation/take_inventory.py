"""Takes the inventory of a reconciliation: the accesses that it compares with their requests, and what they have in common."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from latchkey.aws.clients import Clients
from latchkey.aws.data_bucket import JSON_LINES, DataBucket
from latchkey.aws.secrets import ObservedSecret
from latchkey.errors import Conflict, InvalidRequest, Problem
from latchkey.observation.notices import PublishEvent
from latchkey.reconciliation.lines import LineWriter
from latchkey.reconciliation.region import read_region
from latchkey.reconciliation.unrecorded import Search, report_unrecorded
from latchkey.registry import Registry
from latchkey.registry.accesses import KnownAccess
from latchkey.registry.execution_input import SCHEDULED, ExecutionInput
from latchkey.requests.lifecycle import ReconciliationRequested
from latchkey.settings import Settings
from latchkey.tags import DEFAULT_TENANT, is_ours
from latchkey.wire import WireModel

# An inventory of more bytes is written to a file before it is stored.
_IN_MEMORY = 1_000_000


class TakeInventoryInput(ExecutionInput):
    """The input of an execution, and its ARN."""

    execution_arn: str

    @property
    def is_whole(self) -> bool:
        """Whether all accesses of all tenants are in the scope of the reconciliation."""
        asked = self.asked if isinstance(self.asked, ReconciliationRequested) else None
        return self.tenant == DEFAULT_TENANT and (asked is None or (asked.system, asked.access_id) == (None, None))


class InventoryTaken(WireModel):
    """The object that lists the accesses, one in each line, and how many they are.

    `unread` are the lists and keys that could not be read. Nothing is concluded from what they would have contained.
    `unrecorded` is the number of resources with our tag that no record names, and of records of which nothing exists.
    """

    key: str
    accesses: int
    unread: tuple[str, ...] = ()
    unrecorded: int = 0


@dataclass(frozen=True)
class Inventory:
    """Reads what the accesses have in common once: lists of the Region, and each key with its grants."""

    settings: Settings
    registry: Registry
    clients: Clients
    bucket: DataBucket
    publish_event: PublishEvent

    def __call__(self, event: TakeInventoryInput) -> InventoryTaken:
        """Lists the accesses in the scope of a reconciliation, those with the same key one after the other.

        If all accesses are in its scope, it also reports what has our tag and is not recorded. Raises InvalidRequest with every
        problem of the request.
        """
        if event.request_id != SCHEDULED:
            _claim(event, self.registry)
        accesses = sorted(_in_scope(event, self.registry), key=lambda one: (_key_of(one), one.access_id))
        secrets = {one.record.secret_arn for one in accesses if one.record}

        def keeps(secret: ObservedSecret) -> bool:
            return secret.arn in secrets or (event.is_whole and is_ours(secret.tags, self.settings.stack))

        region = read_region({one.access_id.split("/")[0] for one in accesses}, keeps, self.clients)
        unread = [*region.unread]
        folder = folder_of(event.execution_arn)
        checked = self.registry.findings.checked_versions()
        writer = LineWriter(region, self.settings.place, folder, self.clients, self.bucket, unread, checked)
        groups = groupby(accesses, key=_key_of)
        key = f"{folder}accesses.jsonl"
        self._store(key, (line for arn, own in groups for line in writer.lines(arn, [*own])))
        found = 0
        if event.is_whole:
            unrecorded = Search(self.settings, self.registry, self.clients, unread)(region)
            report_unrecorded(unrecorded, event.execution_arn, self.registry, self.publish_event, datetime.now(UTC))
            found = len(unrecorded.findings)
        return InventoryTaken(key=key, accesses=len(accesses), unread=tuple(sorted({*unread})), unrecorded=found)

    def _store(self, key: str, lines: Iterable[bytes]) -> None:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
            file.writelines(lines)
            file.seek(0)
            self.bucket.write(key, file, JSON_LINES)


def folder_of(execution_arn: str) -> str:
    """The beginning of the keys of everything that a reconciliation writes."""
    return f"reconciliations/{execution_arn.rsplit(':', 1)[1]}/"


def _key_of(access: KnownAccess) -> str:
    return access.record.key_arn if access.record else ""


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
