"""A registry whose table has a stream, and the audit table to which its changes are appended."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from latchkey.access.audit_record import ChainedRecord, ChainHead
from latchkey.audit.append_audit_records import ChangeBatch, append_audit_records
from latchkey.registry import Registry
from latchkey.registry.audit_records import AuditRecords
from latchkey.registry.table import Table
from tests import dynamodb

REGISTRY, AUDIT = "accesses", "audit"


@dataclass
class Audited:
    """`registry` and `audit` are the tables. `deliver` does what Lambda does with the stream of the registry."""

    registry: Registry
    audit: AuditRecords
    delivered: int = field(default=0)

    def deliver(self) -> int:
        """Appends what has changed since the last delivery, and returns how many records were appended."""
        records = dynamodb.stream_of(REGISTRY)
        batch, self.delivered = records[self.delivered :], len(records)
        return self.append(batch)

    def append(self, records: list[dict[str, Any]]) -> int:
        batch = ChangeBatch.model_validate({"Records": records})
        return append_audit_records(batch, self.registry, self.audit).appended

    def chain(self, access_id: str) -> list[ChainedRecord]:
        return self.audit.chain(access_id)[1]

    def head(self, access_id: str) -> ChainHead | None:
        return self.audit.chain(access_id)[0]

    def facts(self, access_id: str) -> list[dict[str, Any]]:
        """The members of the records of a chain, after a delivery."""
        self.deliver()
        return [json.loads(record.text) for record in self.chain(access_id)]

    def actions(self, access_id: str) -> list[str]:
        return [fact["action"] for fact in self.facts(access_id)]


def audited_registry() -> Audited:
    """Empty tables."""
    dynamodb.create_only_table(REGISTRY, streams=True)
    dynamodb.create_audit_table(AUDIT)
    return Audited(Registry(Table(dynamodb.client(), REGISTRY)), AuditRecords(dynamodb.client(), AUDIT))
