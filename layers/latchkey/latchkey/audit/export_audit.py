"""Verifies the chains of audit records, and exports them as JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from tempfile import TemporaryFile
from typing import Annotated, BinaryIO

from pydantic import Field

from latchkey.access.audit_record import ChainedRecord, ChainHead
from latchkey.audit.chain import Problem, continuation_problems, heads_of, heads_text, problems_of
from latchkey.audit.ocsf import event_of
from latchkey.aws.data_bucket import JSON, JSON_LINES, DataBucket
from latchkey.errors import InvalidRequest
from latchkey.errors import Problem as RequestProblem
from latchkey.place import Place
from latchkey.registry.audit_records import AuditRecords
from latchkey.wire import WireModel

PREFIX = "audit/"
# The response of a function has at most 6 MB. The number of all problems is in the result.
_MOST_PROBLEMS = 100


class ExportAuditInput(WireModel):
    """What to export: the chain of one access, or all. `verify` only verifies.

    `earlier` is the key of the heads of an earlier export: every chain must continue the one of that export.
    """

    access_id: str | None
    verify: bool = False
    earlier: Annotated[str, Field(pattern=r"^audit/.+\.heads\.json$")] | None = None


class FoundProblem(WireModel):
    """What is wrong with a chain, and at which record."""

    access_id: str
    number: int
    problem: str


class Exported(WireModel):
    """The keys of the records and of the heads of their chains, what they contain, and the first problems of the chains."""

    key: str | None
    heads_key: str | None
    accesses: int
    records: int
    problem_count: int
    problems: tuple[FoundProblem, ...]


def export_audit(event: ExportAuditInput, audit: AuditRecords, bucket: DataBucket, place: Place) -> Exported:
    """Writes the records to `audit/<time>.jsonl` and the heads to `audit/<time>.heads.json`, unless it only verifies.

    Raises InvalidRequest if the access has no chain, or if there is no earlier export with this key.
    """
    earlier = _earlier(event.earlier, bucket) if event.earlier else {}
    accesses = [event.access_id] if event.access_id else audit.accesses()
    heads: dict[str, ChainHead] = {}
    problems: list[Problem] = []
    count = 0
    with TemporaryFile() as lines:
        for access_id in [*accesses, *sorted(earlier.keys() - {*accesses} if not event.access_id else ())]:
            head, records = audit.chain(access_id)
            if event.access_id and not records:
                raise InvalidRequest([RequestProblem("accessId", "has no audit records: give the ID of a recorded access")])
            problems += problems_of(access_id, records, head)
            problems += continuation_problems(access_id, records, earlier[access_id]) if access_id in earlier else []
            heads |= {access_id: head} if head else {}
            count += len(records)
            for record in records:
                lines.write(_line(record, place).encode() + b"\n")
        keys = (None, None) if event.verify else _write(lines, heads, bucket)
    found = tuple(FoundProblem(accessId=one.access_id, number=one.number, problem=one.problem) for one in problems)
    return Exported(
        key=keys[0],
        headsKey=keys[1],
        accesses=len(heads),
        records=count,
        problemCount=len(found),
        problems=found[:_MOST_PROBLEMS],
    )


def _line(record: ChainedRecord, place: Place) -> str:
    """A record as a line of JSON. One that was changed so that it is no event any more is exported as it is."""
    try:
        return json.dumps(event_of(record, place))
    except (ValueError, KeyError, TypeError, AttributeError):
        return json.dumps({"unmapped": {"hash": record.hash, "record": record.text}})


def _write(lines: BinaryIO, heads: Mapping[str, ChainHead], bucket: DataBucket) -> tuple[str, str]:
    name = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
    key, heads_key = f"{PREFIX}{name}.jsonl", f"{PREFIX}{name}.heads.json"
    lines.seek(0)
    bucket.write(key, lines, JSON_LINES)
    bucket.write(heads_key, heads_text(heads).encode(), JSON)
    return key, heads_key


def _earlier(key: str, bucket: DataBucket) -> dict[str, ChainHead]:
    found = bucket.find(key)
    if found is None:
        raise InvalidRequest([RequestProblem("earlier", "does not exist: give the headsKey of an earlier export")])
    return heads_of(found.read())
