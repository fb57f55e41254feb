"""Appends an audit record for each change of the registry that is a decision or a change of an access."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import batched
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from latchkey.access.audit_record import EMPTY, ChainHead
from latchkey.audit.chain import chained
from latchkey.audit.facts import Fact, beginning, fact_of
from latchkey.errors import TransientAwsError
from latchkey.registry import Registry
from latchkey.registry.audit_records import AuditRecords, HeadMoved
from latchkey.registry.changes import StreamRecord
from latchkey.wire import WireModel

# At most 100 items and 4 MB are in a transaction; a record has at most four members of 30,000 characters.
_AT_ONCE = 20
# One execution reads one shard of the stream, and few shards have changes of one access at the same time.
_ATTEMPTS = 10


class ChangeBatch(BaseModel):
    """An event of the stream. https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html"""

    model_config = ConfigDict(extra="ignore", frozen=True)

    records: Annotated[tuple[StreamRecord, ...], Field(alias="Records")]


class Appended(WireModel):
    """How many records were appended. Changes that an earlier delivery has appended are none of them."""

    appended: int


def append_audit_records(batch: ChangeBatch, registry: Registry, audit: AuditRecords) -> Appended:
    """Appends the facts of a batch to the chains of their accesses, in the order of the batch.

    Appending is idempotent: a record is stored under the id of its change. An error fails the batch, which Lambda delivers
    again.
    """
    facts: dict[str, list[Fact]] = {}
    for record in batch.records:
        if fact := fact_of(record.change):
            facts.setdefault(fact.access_id, []).append(fact)
    enabled = min((record.enabled for record in batch.records), default="")
    heads = audit.heads(facts)
    return Appended(
        appended=sum(_append(name, facts[name], heads.get(name, EMPTY), enabled, registry, audit) for name in sorted(facts))
    )


def _append(
    access_id: str, facts: Iterable[Fact], head: ChainHead, enabled: str, registry: Registry, audit: AuditRecords
) -> int:
    appended = 0
    for some in batched(facts, _AT_ONCE, strict=False):
        head, count = _append_some(access_id, list(some), head, enabled, registry, audit)
        appended += count
    return appended


def _append_some(
    access_id: str, facts: list[Fact], head: ChainHead, enabled: str, registry: Registry, audit: AuditRecords
) -> tuple[ChainHead, int]:
    """The new head of the chain, and how many records were appended."""
    for _ in range(_ATTEMPTS):
        if not facts:
            return head, 0
        first = [] if head != EMPTY else [beginning(access_id, facts[0].at, registry.accesses.item(access_id), enabled)]
        records = chained([*first, *facts], head)
        try:
            audit.append(access_id, head, records)
        except HeadMoved as moved:
            facts = [fact for fact in facts if fact.source not in moved.appended]
            head = audit.heads([access_id]).get(access_id, EMPTY)
        else:
            return records[-1].head, len(facts)
    raise TransientAwsError("other executions append to the chain of the same access all the time")
