"""Verifies an export of audit records: finds records that were changed, removed, inserted or moved, and ends that were cut off.

The heads of the chains are next to the records, in `….heads.json`. With the heads of an earlier export, every chain must
continue the one of that export, so that a history that was written again is found as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from latchkey.access.audit_record import ChainedRecord, ChainHead
from latchkey.audit.chain import Problem, continuation_problems, heads_of, problems_of
from latchkey.audit.ocsf import event_of, record_of
from latchkey.place import Place


def problems_in(lines: Iterable[str], heads: dict[str, ChainHead], earlier: dict[str, ChainHead]) -> list[Problem]:
    """Everything that is wrong with an export. A chain is verified in the order of its lines."""
    chains: dict[str, list[ChainedRecord]] = {name: [] for name in (*heads, *earlier)}
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
            record = record_of(event)
            access_id = str(json.loads(record.text)["accessId"])
            place = Place(partition="aws", account=event["cloud"]["account"]["uid"], region=event["cloud"]["region"])
            is_as_exported = event_of(record, place) == event
        except (ValueError, KeyError, TypeError):
            problems.append(Problem("", number, f"line {number} contains no audit record"))
            continue
        if not is_as_exported:
            problems.append(Problem(access_id, record.number, "was changed: the members of the event do not fit its record"))
        chains.setdefault(access_id, []).append(record)
    for access_id, records in chains.items():
        problems += problems_of(access_id, records, heads.get(access_id))
        problems += continuation_problems(access_id, records, earlier[access_id]) if access_id in earlier else []
    return problems


def problems_of_file(file: Path, heads: Path | None, earlier: Path | None) -> list[Problem]:
    """Everything that is wrong with the records in a file. By default, the heads are in `….heads.json` next to it."""
    present = heads_of((heads or file.with_suffix(".heads.json")).read_bytes())
    former = heads_of(earlier.read_bytes()) if earlier else {}
    with file.open() as lines:
        return problems_in(lines, present, former)
