"""Chains of audit records: each record contains the hash of the one before it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latchkey.access.audit_record import EMPTY, ChainedRecord, ChainHead
from latchkey.audit.facts import Fact

# An item has at most 400 KB, and a transaction 4 MB. A longer member is replaced by its hash: what it describes stays in the
# registry, and the hash proves that it is the same.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
LONGEST_MEMBER = 30_000


@dataclass(frozen=True, order=True)
class Problem:
    """What is wrong with a chain, at which number."""

    access_id: str
    number: int
    problem: str


def canonical(value: object) -> str:
    """The one JSON text of a value: members in order, without spaces, in ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def hash_of(text: str) -> str:
    """The hash of a record."""
    return hashlib.sha256(text.encode()).hexdigest()


def chained(facts: Iterable[Fact], head: ChainHead) -> list[ChainedRecord]:
    """The records of facts that follow the head of a chain."""
    records: list[ChainedRecord] = []
    for fact in facts:
        members = {name: _bounded(value) for name, value in fact.wire.items()}
        text = canonical(members | {"number": head.number + 1, "previousHash": head.hash})
        records.append(ChainedRecord(fact.source, head.number + 1, hash_of(text), text))
        head = records[-1].head
    return records


def _bounded(value: Any) -> Any:
    text = canonical(value)
    return value if len(text) <= LONGEST_MEMBER else {"omittedCharacters": len(text), "sha256": hash_of(text)}


def problems_of(access_id: str, records: Sequence[ChainedRecord], head: ChainHead | None) -> list[Problem]:
    """Everything that is wrong with a chain whose records are in the order in which they were read.

    A changed record does not have its hash. A record after a removed, inserted or moved one does not continue the one before
    it. A chain whose end was cut off or extended does not end at its `head`.
    """
    problems: list[Problem] = []
    expected, previous = 1, EMPTY.hash
    seen: set[str] = set()
    for record in records:
        members = _members(record.text)
        said = [
            "was changed: its hash is another one" if hash_of(record.text) != record.hash else None,
            "belongs to another chain" if members.get("accessId") != access_id else None,
            "has another number in its text" if members.get("number") != record.number else None,
            "was inserted twice" if record.source in seen or members.get("source") != record.source else None,
            f"follows number {expected - 1}: records were removed, inserted or moved" if record.number != expected else None,
            "does not continue the record before it" if members.get("previousHash") != previous else None,
        ]
        problems += [Problem(access_id, record.number, one) for one in said if one]
        seen.add(record.source)
        expected, previous = record.number + 1, record.hash
    last = records[-1].head if records else EMPTY
    if head is None:
        problems.append(Problem(access_id, last.number, "is the last record, but the chain has no head"))
    elif head != last:
        changed = f"is the last record, but the head of the chain is number {head.number}: the end was changed"
        problems.append(Problem(access_id, last.number, changed))
    return problems


def continuation_problems(access_id: str, records: Sequence[ChainedRecord], earlier: ChainHead) -> list[Problem]:
    """What shows that a chain does not continue the one that an earlier export has read: its history was written again."""
    if any(record.head == earlier for record in records):
        return []
    return [Problem(access_id, earlier.number, "is not the record of the earlier export: the chain was cut or written again")]


def heads_text(heads: Mapping[str, ChainHead]) -> str:
    """The file with the heads of an export."""
    return json.dumps({access_id: {"number": head.number, "hash": head.hash} for access_id, head in sorted(heads.items())})


def heads_of(text: str | bytes) -> dict[str, ChainHead]:
    """The heads in the file of an export."""
    heads: dict[str, dict[str, Any]] = json.loads(text)
    return {access_id: ChainHead(int(head["number"]), str(head["hash"])) for access_id, head in heads.items()}


def _members(text: str) -> Mapping[str, Any]:
    try:
        members = json.loads(text)
    except ValueError:
        return {}
    return members if isinstance(members, Mapping) else {}
